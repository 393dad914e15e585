"""Settings that must hold before any test module is imported."""

import os

import torch
from hypothesis import HealthCheck, settings

if not torch.cuda.is_available():
    # Triton reads it when it is imported, and transformers imports Triton.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# No example may fail because the machine is busy, or on one run of many: the campaign draws examples at random.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
