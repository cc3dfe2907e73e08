"""Training of modules on mixtures: texts, objectives, optimizers, schedules and the trainer."""

from muxlearn.training.augmentation import augment_texts
from muxlearn.training.corruption import MaskedTokens, ReplacedTokens
from muxlearn.training.distillation import Distillation
from muxlearn.training.objectives import Objective
from muxlearn.training.optimizers import Optimizer

__all__ = [
    "Distillation",
    "MaskedTokens",
    "Objective",
    "Optimizer",
    "ReplacedTokens",
    "augment_texts",
]
