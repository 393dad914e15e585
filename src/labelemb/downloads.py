"""Files of the network, fetched once and kept."""

from pathlib import Path

from labelemb.errors import DataError
from labelemb.files import cache_folder


def fetch(source: str, name: str, known_hash: str | None, folder: str, wanted: str) -> Path:
    """Download SOURCE/NAME into a folder of the cache, unless it is there, and return its place.

    source      address, with a slash at its end
    known_hash  "sha256:..." or "md5:..." of the file; None: whoever reads it checks its contents
    folder      below ``cache_folder()``; "": the cache itself
    wanted      what one can put there by hand instead

    Raises DataError, with what to do without a network.
    """
    import pooch

    try:
        return Path(pooch.retrieve(source + name, known_hash=known_hash, fname=name, path=cache_folder() / folder))
    except Exception as error:  # whatever the transport raises: requests, urllib3, OSError, ValueError for a hash
        raise DataError(
            "data",
            wanted,
            f"no --data, and no download of {name} from {source} ({type(error).__name__})",
            "Put the files into a folder and pass it as --data DIR or LABELEMB_DATA=DIR",
        ) from error
