"""Run folders: the files that a training run leaves on disk."""

from labelemb.runs.find import embedding_file, find_runs
from labelemb.runs.folder import RunFolder
from labelemb.runs.history import Line
from labelemb.runs.recorder import Recorder

__all__ = ["Line", "Recorder", "RunFolder", "embedding_file", "find_runs"]
