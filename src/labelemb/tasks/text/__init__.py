"""Text classification: data files, encoders, and the training task."""
