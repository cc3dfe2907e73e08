"""The tasks: prediction of classes, tags and vectors."""

from muxlearn.tasks._classes import ClassesTask
from muxlearn.tasks._tags import TagsTask
from muxlearn.tasks._task import Targets, Task
from muxlearn.tasks._vectors import VectorsTask
from muxlearn.tasks._viterbi import StepScores, transition_scores, viterbi_many

__all__ = [
    "TASKS",
    "ClassesTask",
    "StepScores",
    "TagsTask",
    "Targets",
    "Task",
    "VectorsTask",
    "transition_scores",
    "viterbi_many",
]

#: By the name that a folder keeps.
TASKS: dict[str, type[Task]] = {task.name: task for task in (ClassesTask, TagsTask, VectorsTask)}
