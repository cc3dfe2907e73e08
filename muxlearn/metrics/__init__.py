"""Measures of multiplexed models, and of tags."""

from muxlearn.metrics._frontier import unbeaten
from muxlearn.metrics._retrieval import retrieval_score
from muxlearn.metrics._scorers import (
    entity_f1,
    entity_precision,
    entity_recall,
    register_scorers,
    token_accuracy,
)
from muxlearn.metrics._tagging import (
    entity_f1_score,
    entity_precision_recall_fscore_support,
    entity_precision_score,
    entity_recall_score,
    token_accuracy_score,
)

__all__ = [
    "entity_f1",
    "entity_f1_score",
    "entity_precision",
    "entity_precision_recall_fscore_support",
    "entity_precision_score",
    "entity_recall",
    "entity_recall_score",
    "retrieval_score",
    "token_accuracy",
    "token_accuracy_score",
    "unbeaten",
]

register_scorers()
