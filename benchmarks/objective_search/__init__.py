"""Screening of soft-target objectives on held-out data; see ``python -m benchmarks.objective_search --help``."""
