"""What is predicted: classes, tags, vectors."""

from muxlearn.tasks._task import Targets, Task
from muxlearn.tasks._viterbi import StepScores, transition_scores, viterbi_many

__all__ = ["StepScores", "Targets", "Task", "transition_scores", "viterbi_many"]
