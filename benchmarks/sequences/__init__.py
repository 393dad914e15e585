"""Training and decoding speed of the encoder-decoder: ``python -m benchmarks.sequences``."""
