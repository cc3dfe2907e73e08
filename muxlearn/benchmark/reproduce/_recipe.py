"""An experiment as data: tasks, models, how they begin, and what differs from the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["SCALES", "Part", "Recipe", "Request", "Source", "Split", "Start", "Variant"]

#: The sizes that every experiment has.
SCALES = ("paper", "small", "tiny")


@dataclass(frozen=True)
class Request:
    """The files of a run and its seed.

    Attributes
    ----------
    data : Path or None
        Folder of the tasks' files.
    texts : Path or None
        Texts without labels, one a line, to warm networks up on.
    seed : int
    """

    data: Path | None
    texts: Path | None
    seed: int

    def folder(self) -> Path:
        """Return the folder of the tasks' files.

        Raises
        ------
        SystemExit
            None was given.
        """
        if self.data is None:
            raise SystemExit("this scale reads its tasks from a folder: give --data FOLDER")
        return self.data


@dataclass(frozen=True)
class Part:
    """Rows and their targets, both of one length."""

    X: Any
    y: Any


@dataclass(frozen=True)
class Split:
    """Rows to learn from and to test."""

    train: Part
    test: Part


@dataclass(frozen=True)
class Source:
    """A task.

    Attributes
    ----------
    name : str
    read : callable
        Takes a `Request`, returns a `Split`.
    """

    name: str
    read: Callable[[Request], Split]


class Start(Protocol):
    """A preparation of a network for its task."""

    def prepare(self, folder: Path, texts: Callable[[], Sequence[str]], seed: int) -> Any:
        """Return a backbone, from the folder where a former run has left it there.

        Parameters
        ----------
        folder : Path
            Keeps finished stages and the states of unfinished ones.
        texts : callable
            Returns texts without labels.
        seed : int
        """


@dataclass(frozen=True)
class Variant:
    """A model of the table.

    Attributes
    ----------
    name : str
    model : estimator
        Not fitted, without a seed.
    steps : int or None
        Steps of training, rounded to whole epochs. None leaves `max_epochs` as it is.
    warm_up_steps : int or None
        The same of the warm-up on the task's own rows.
    start : Start or None
        What gives the model its backbone.
    points : sequence of int or pair, or None
        The operating points to judge, by name; None stands for the model's own.
    family : str
        The line of the plot that the model is a point of.
    n_mux : int
    paper : str
        What the paper reports.
    """

    name: str
    model: Any
    steps: int | None = None
    warm_up_steps: int | None = None
    start: Start | None = None
    points: dict[str, Any] | None = None
    family: str = ""
    n_mux: int = 1
    paper: str = ""


@dataclass(frozen=True)
class Recipe:
    """An experiment at one scale.

    Attributes
    ----------
    title : str
        The paper and its table.
    sources : tuple of Source
    variants : tuple of Variant or callable
        A callable takes a source's name. The first is the twin that drops and speeds refer to.
    score : callable
        Takes true and predicted targets.
    texts : callable or None
        Takes a `Request`, returns texts without labels.
    paper : str
        What the paper claims.
    deviations : tuple of str
        What differs from the paper.
    figure : dict of str to dict
        By task the lines of the paper's own figure: by name the scores over `n_mux`.
    """

    title: str
    sources: tuple[Source, ...]
    variants: tuple[Variant, ...] | Callable[[str], tuple[Variant, ...]]
    score: Callable[[Any, Any], Any]
    paper: str
    deviations: tuple[str, ...]
    texts: Callable[[Request], list[str]] | None = None
    figure: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)

    def variants_of(self, source: Source) -> tuple[Variant, ...]:
        """Return the models of a task."""
        return self.variants(source.name) if callable(self.variants) else self.variants
