"""The command line: one module per command, each over public functions of the library."""

from labelemb.cli.main import main

__all__ = ["main"]
