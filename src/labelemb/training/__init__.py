"""The loop, written once, on Accelerate; it knows tasks only by the protocols in ``task.py``."""
