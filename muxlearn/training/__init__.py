"""How a module is trained on mixtures: what is minimised, and by what."""

from muxlearn.training.distillation import Distillation
from muxlearn.training.objectives import Objective
from muxlearn.training.optimizers import Optimizer

__all__ = ["Distillation", "Objective", "Optimizer"]
