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


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, so that a command can clean up; within an import end the process at once."""
    outer = frame
    while outer is not None:
        if outer.f_code.co_filename.startswith("<frozen importlib"):
            stop(number, frame)
        outer = outer.f_back
    raise KeyboardInterrupt


def main() -> int:
    """Run the command line; ``labelemb.cli.main`` uses ``interrupt`` from when a command begins."""
    # A command in the background ignores Ctrl-C, and goes on doing so.
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:
        signal.signal(signal.SIGINT, stop)
    from labelemb.cli import main as run

    code = run()
    if handled:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is done: its exit code stands
    return code
