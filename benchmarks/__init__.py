"""Speed as ratios: peers interleaved in one run. ``python -m benchmarks.NAME``."""
