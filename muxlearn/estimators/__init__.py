"""The estimators, and the code that they share."""

from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._continuing import check_checkpoint, seed_of
from muxlearn.estimators._embedding import MuxTextEmbedder
from muxlearn.estimators._fitting import make_trainer, warn_of_interruption
from muxlearn.estimators._image import MuxImageClassifier
from muxlearn.estimators._image_regressor import MuxImageRegressor
from muxlearn.estimators._model_card import model_card
from muxlearn.estimators._preparing import ask_about, prepare_pretraining
from muxlearn.estimators._saving import saved_config
from muxlearn.estimators._tagging import MuxTokenTagger
from muxlearn.estimators._text import MuxTextClassifier
from muxlearn.estimators._text_regressor import MuxTextRegressor
from muxlearn.estimators._texts import TEXT_CONSTRAINTS, TextKind
from muxlearn.estimators._transforming import fit_transform, transform, transform_iter

__all__ = [
    "TEXT_CONSTRAINTS",
    "MuxEstimator",
    "MuxImageClassifier",
    "MuxImageRegressor",
    "MuxTextClassifier",
    "MuxTextEmbedder",
    "MuxTextRegressor",
    "MuxTokenTagger",
    "TextKind",
    "ask_about",
    "check_checkpoint",
    "fit_transform",
    "make_trainer",
    "model_card",
    "prepare_pretraining",
    "saved_config",
    "seed_of",
    "transform",
    "transform_iter",
    "warn_of_interruption",
]
