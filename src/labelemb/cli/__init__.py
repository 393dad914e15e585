"""The command line: few verbs over public functions."""

from labelemb.cli.main import main

__all__ = ["main"]
