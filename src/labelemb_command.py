"""The entry point of the command ``labelemb``: Ctrl-C is quiet even while the package is being imported."""

import sys


def main() -> int:
    """Run the command line."""
    try:
        from labelemb.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
