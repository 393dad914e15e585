"""Downloads, kept in the cache directory."""

from pathlib import Path

from labelemb.errors import DataError
from labelemb.files import cache_folder


def fetch(source: str, name: str, known_hash: str | None, folder: str, wanted: str) -> Path:
    """Return the path of SOURCE/NAME in the cache; download it if it is not there.

    Args:
        source: Address, ending with a slash.
        name: File name.
        known_hash: "sha256:..." or "md5:..." of the file; None if the reader verifies the content.
        folder: Directory below ``cache_folder()``; "" for the cache itself.
        wanted: What ``--data`` accepts instead, for the error message.

    Raises:
        DataError: The download failed; the message says what to do without a network.
    """
    import pooch

    try:
        return Path(pooch.retrieve(source + name, known_hash=known_hash, fname=name, path=cache_folder() / folder))
    except Exception as error:  # requests, urllib3, OSError, or ValueError for a wrong hash
        raise DataError(
            "data",
            wanted,
            f"no --data, and no download of {name} from {source} ({type(error).__name__})",
            "Put the files into a folder and pass it as --data DIR or LABELEMB_DATA=DIR",
        ) from error
