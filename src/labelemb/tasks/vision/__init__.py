"""Image classification: in-memory data sets, batched augmentation, models and training recipe."""
