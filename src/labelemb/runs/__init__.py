"""Run folders: the files that a training run leaves on disk."""

from labelemb.runs.find import embedding_file, find_runs
from labelemb.runs.folder import RunFolder
from labelemb.runs.history import Line

__all__ = ["Line", "RunFolder", "embedding_file", "find_runs"]
