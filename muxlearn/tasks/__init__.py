"""The tasks: prediction of classes, labels, tags, numbers and vectors."""

from muxlearn.tasks._classes import ClassesTask
from muxlearn.tasks._kinds import learn_labels
from muxlearn.tasks._labels import LabelsTask
from muxlearn.tasks._numbers import NumbersTask
from muxlearn.tasks._tags import TagsTask
from muxlearn.tasks._task import Task, TrainingSet
from muxlearn.tasks._vectors import VectorsTask

__all__ = [
    "TASKS",
    "ClassesTask",
    "LabelsTask",
    "NumbersTask",
    "TagsTask",
    "Task",
    "TrainingSet",
    "VectorsTask",
    "learn_labels",
]

#: By the name that a folder keeps.
TASKS: dict[str, type[Task]] = {
    task.name: task for task in (ClassesTask, LabelsTask, NumbersTask, TagsTask, VectorsTask)
}
