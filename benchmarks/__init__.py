"""Speed as ratios: programs interleaved in one run. ``python -m benchmarks.NAME``."""
