"""The entry point of the command ``labelemb``: Ctrl-C is quiet even while the package is being imported."""

import os
import signal
from types import FrameType


def stop(number: int, frame: FrameType | None) -> None:
    """End the process at once.

    KeyboardInterrupt would not do while packages are imported: some of them ignore whatever an import of theirs raises.
    """
    os.write(2, b"stopped\n")
    os._exit(130)


def main() -> int:
    """Run the command line; ``labelemb.cli.main`` handles Ctrl-C from when a command begins."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background, where it is ignored
        signal.signal(signal.SIGINT, stop)
    from labelemb.cli import main as run

    return run()
