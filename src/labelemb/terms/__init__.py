"""What losses and their implementations share: objective, label embeddings, flattened rows, reductions, outputs."""
