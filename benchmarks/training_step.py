"""What the method adds to a whole training step, and what layout and precision save: python -m benchmarks.training_step.

Aims: label-embedding step over plain step <= 1.05 for the CNN and <= 1.20 for the MLP; the CNN as its preset runs it
at least twice as fast as the same net in fp32 NCHW.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.measure import interleaved
from labelemb.presets import read_preset
from labelemb.training.device import make_accelerator
from labelemb.training.loop import FitSettings, Tally, Trainee
from labelemb.training.task import Share
from labelemb.vision.images import ImageData, Images
from labelemb.vision.recipe import VisionConfig, VisionTask
