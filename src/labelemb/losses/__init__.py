"""The method: losses under one call shape, ``loss(hidden, head, targets) -> LossOutput``."""
