"""Language: text to numbers, batches, attentional encoder-decoders, search."""
