"""Engines: where the runs of a command are trained, in worker processes of this machine or on a Ray cluster."""

from labelemb.training.engines.base import Engine, Outcome
from labelemb.training.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "Outcome"]
