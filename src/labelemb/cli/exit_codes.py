"""Exit codes of the command line besides 0, and 130 for Ctrl-C."""

FAILED = 1  # a run failed; the same command tries it again
INVALID = 2  # invalid input; nothing was trained
BUSY = 3  # another process is training a run; the same command later finds it finished
