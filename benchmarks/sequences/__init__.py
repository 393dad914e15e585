"""Training and decoding of the encoder-decoder: ``python -m benchmarks.sequences``."""
