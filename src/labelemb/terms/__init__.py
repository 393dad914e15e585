"""What losses and their implementations share: the objective, embeddings, reductions, outputs."""
