"""Named pipes in the place of files, such as bash's ``<(command)``."""

import shutil
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def copy_pipes(chosen: Any, names: Iterable[str], stack: ExitStack) -> None:
    """Put temporary copies in place of named pipes: a text that is read twice can be a pipe then.

    All pipes are read at the same time, so that one process may write to several of them in any order.

    Args:
        chosen: Parsed options, which are changed.
        names: Options with paths of files.
        stack: Its end removes the copies.

    Raises:
        OSError: A pipe cannot be read, or a copy not be written.
    """
    pipes = {name: Path(given) for name in names if (given := getattr(chosen, name)) and Path(given).is_fifo()}
    if not pipes:
        return
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="labelemb-")))
    copies = {pipe: folder / name for name, pipe in pipes.items()}
    failed = list[OSError]()
    # Daemon threads, so that Ctrl-C ends the program while a pipe has no writer.
    threads = [threading.Thread(target=_copy, args=(*pair, failed), daemon=True) for pair in copies.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error
    for name, pipe in pipes.items():
        setattr(chosen, name, str(copies[pipe]))


def _copy(pipe: Path, copy: Path, failed: list[OSError]) -> None:
    try:
        with pipe.open("rb") as source, copy.open("wb") as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        failed.append(OSError(error.errno, error.strerror, str(pipe)))
