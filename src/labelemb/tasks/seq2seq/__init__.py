"""Sequence-to-sequence tasks: preprocessing, batching, encoder-decoder models and beam search."""
