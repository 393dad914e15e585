"""The loss modules, all called as ``loss(hidden, head, targets)``."""
