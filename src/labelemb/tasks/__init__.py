"""The tasks that the command line trains."""
