"""Run folders: what a training run leaves on disk."""

from labelemb.runs.folder import Line, RunFolder, embedding_file, find_runs

__all__ = ["Line", "RunFolder", "embedding_file", "find_runs"]
