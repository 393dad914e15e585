"""Settings that must hold before any test module is imported."""

import os

import torch

if not torch.cuda.is_available():
    # Triton reads it when it is imported, and transformers imports Triton.
    os.environ.setdefault("TRITON_INTERPRET", "1")
