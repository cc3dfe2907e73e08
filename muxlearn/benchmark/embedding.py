"""Vectors of texts: rows/s, nearness to the teacher, and what can be read off them.

A `MuxTextEmbedder` at several operating points, beside its teacher, the mean of the teacher's token
vectors (static vectors, with smooth inverse frequency as well) and TF-IDF. All that is fast stands
there a second time, aligned with the embedder's slowest point by ridge regression on the training
texts of each task. Relatedness is the Spearman correlation between people's judgements of pairs and
the cosines of vectors; no pair's text is among those that anything learns from. A probe is logistic
regression on the vectors, its penalty chosen on rows set aside; on those of both texts, of their
distance and of their product where rows are pairs. A probe of tagged sentences says of which type
the first entity is.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler, normalize

from muxlearn import MuxTextEmbedder
from muxlearn.backbones import load_backbone
from muxlearn.benchmark._arguments import parse_point, positive
from muxlearn.benchmark._models import AtPoint
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.benchmark.frontier import (
    PairFeatures,
    Part,
    StaticVectors,
    Task,
    choose_penalty,
    read_task,
)
from muxlearn.box import packaged_minilm
from muxlearn.datasets import load_pairs
from muxlearn.points import WORDS, Point, speed_rank

_POINTS = [Point(1, 1), Point(1, 2), Point(1, 5), Point(1, 10), Point(2, 5), Point(10, 1), WORDS]
_RELATEDNESS = "sick-relatedness"
#: The median of its numbers, which parts the pairs of a probe.
_MIDDLE = 3.6
#: Penalties of the regression that aligns static vectors: those of `MuxTextEmbedder`.
_RIDGES = np.logspace(-2, 2, 9)


@dataclass(frozen=True)
class _Model:
    """A way to embed texts.

    Attributes
    ----------
    name : str
    point : str
        The operating point, where there is one.
    make : callable
        Returns a transformer that is not fitted.
    """

    name: str
    point: str
    make: Callable[[], Any]


class _Aligned(TransformerMixin, BaseEstimator):
    """Vectors mapped to those of another transformer, by the regression of ``align=True``.

    Parameters
    ----------
    vectors : transformer of texts
    wanted : fitted transformer of texts
    """

    def __init__(self, vectors: Any, wanted: Any) -> None:
        self.vectors = vectors
        self.wanted = wanted

    def fit(self, X: Sequence[str], y: Any = None) -> _Aligned:
        """Learn the map."""
        self.vectors_ = clone(self.vectors).fit(X)
        given, wanted = (normalize(part.transform(X)) for part in (self.vectors_, self.wanted))
        self.ridge_ = RidgeCV(_RIDGES, fit_intercept=False).fit(given, wanted)
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float64]:
        """Return vectors of shape (n_texts, width)."""
        return self.ridge_.predict(normalize(self.vectors_.transform(X)))


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help=f"folder of tasks, NAME-train.tsv and NAME-test.tsv; {_RELATEDNESS} holds numbers",
    )
    add("--backbone", help="default the packaged encoder")
    add("--teacher", help="folder of the teacher; default MiniLM")
    add("--points", type=parse_point, nargs="+", default=_POINTS)
    add("--tasks", nargs="+", help="names; default all of the folder")
    add("--max-train", type=positive, default=2000, help="rows that a probe learns from")
    add("--max-test", type=positive, default=2000, help="rows that judge a probe")
    add("--max-pairs", type=positive, help="pairs of the relatedness")
    add("--max-length", type=positive, default=128)
    add("--n-texts", type=positive, default=512, help="texts that are timed")
    add("--repeats", type=positive, default=5)
    add("--penalties", type=float, nargs="+", default=[1e-3, 1e-2, 1e-1])


def main(args: Namespace) -> int:
    """Run the benchmark."""
    tasks = list(_read_tasks(args))
    seen, _ = _read_relatedness(args.data, "train")
    pairs, numbers = _read_relatedness(args.data, "test")
    pairs, numbers = pairs[: args.max_pairs], numbers[: args.max_pairs]
    teacher = args.teacher or packaged_minilm()
    models = list(_models(args, teacher))
    sides = [list(side) for side in zip(*pairs, strict=True)]
    texts = list(dict.fromkeys(sides[0] + sides[1]))
    judged = set(texts)
    others = list(dict.fromkeys(text for pair in seen for text in pair if text not in judged))
    fitted = {model: model.make().fit(others) for model in models}
    rows = {model: _speed_row(model) for model in models}
    wanted = None
    for model, embedder in fitted.items():
        vectors = normalize(embedder.transform(texts))
        wanted = vectors if wanted is None else wanted  # the teacher is the first
        if not sparse.issparse(vectors) and vectors.shape == wanted.shape:
            rows[model]["cosine"] = float((vectors * wanted).sum(1).mean())
        found = rows[model]["relatedness"] = _relatedness(vectors, texts, sides, numbers)
        print(f"relatedness, {model.name} {model.point}: {found:.4f}", flush=True)
    for task in tasks:
        for model in models:
            found = rows[model][task.name] = _probe(model, task, args.penalties)
            print(f"{task.name}, {model.name} {model.point}: {found:.3f}", flush=True)
    _time(fitted, rows, _timed_texts(tasks, args.n_texts), args.repeats)
    title = f"vectors of texts, probes of {', '.join(task.name for task in tasks)}"
    report(title, list(rows.values()), args)
    return 0


def _models(args: Namespace, teacher: str) -> Iterator[_Model]:
    """Yield the teacher, the embedder at its points, and the neighbours."""
    of_teacher = FrozenEstimator(_embedder(1, 1, teacher, args.max_length).fit())
    yield _Model("teacher", "", partial(AtPoint, of_teacher, Point()))
    n_mux = max(point.n_mux for point in args.points)
    # An own one for each patch size, which is the one that tables are made for.
    sizes = {max(1, point.patch_size) for point in args.points}
    made = {size: _embedder(n_mux, size, args.backbone, args.max_length) for size in sizes}
    plain = {size: FrozenEstimator(embedder.fit()) for size, embedder in made.items()}
    slowest, *fast = sorted(args.points, key=speed_rank)
    for point in args.points:
        make = partial(AtPoint, plain[max(1, point.patch_size)], point)
        yield _Model("MuxTextEmbedder", _name(point), make)
    for point in fast:
        aligned = clone(made[max(1, point.patch_size)]).set_params(align=True)
        yield _Model("MuxTextEmbedder, aligned", _name(point), partial(AtPoint, aligned, point))
    encoder, tokenizer = load_backbone(teacher, dropout=0.0)
    table = encoder.embedding.weight.detach().numpy()
    wanted = AtPoint(plain[max(1, slowest.patch_size)], slowest)
    for weighted, name in ((False, "static vectors"), (True, "static vectors, SIF")):
        make = partial(StaticVectors, tokenizer, table, weighted)
        yield _Model(name, "", make)
        yield _Model(f"{name}, aligned", "", partial(_Aligned, make(), FrozenEstimator(wanted)))
    yield _Model("TF-IDF", "", partial(TfidfVectorizer, sublinear_tf=True))


def _read_relatedness(folder: Path, part: str) -> tuple[Any, NDArray[np.float64]]:
    file = next(folder.glob(f"{_RELATEDNESS}-{part}.*"), None)
    if file is None:
        raise SystemExit(f"--data: '{folder}' holds no {_RELATEDNESS}-{part}.tsv")
    return load_pairs(file, target="number", return_X_y=True)


def _embedder(
    n_mux: int, patch_size: int, backbone: Any, max_length: int, align: bool = False
) -> MuxTextEmbedder:
    return MuxTextEmbedder(
        n_mux,
        patch_size=patch_size,
        backbone=backbone,
        max_length=max_length,
        align=align,
        dtype="float32",
    )


def _name(point: Point) -> str:
    return str(WORDS) if point == WORDS else f"{point.n_mux},{point.patch_size}"


def _speed_row(model: _Model) -> dict[str, Any]:
    """Return a row whose figures are still to come, in the order of the columns."""
    return {
        **{"model": model.name, "point": model.point},
        **dict.fromkeys(("rows_per_s", "speed_up", "cosine", "relatedness")),
    }


def _read_tasks(args: Namespace) -> Iterator[Task]:
    """Read the tasks of a folder, tagged sentences as texts."""
    files = sorted(file for file in args.data.iterdir() if "-train." in file.name)
    for file in files:
        name = file.name.partition("-train.")[0]
        if args.tasks is not None and name not in args.tasks:
            continue
        task = read_task(file, max_train=args.max_train, max_test=args.max_test)
        task = replace(task, valid=task.valid.head(max(1, args.max_train // 4)))
        if task.kind == "sentences":
            task = _mapped(task, _first_type, " ".join)
        elif name == _RELATEDNESS:
            task = _mapped(task, _is_related)
        yield task


def _mapped(
    task: Task, label_of: Callable[[Any], str], text_of: Callable[[Any], str] | None = None
) -> Task:
    """Return a task with other labels, and texts in the place of its rows."""
    parts: dict[str, Any] = {}
    for name, part in (("train", task.train), ("valid", task.valid), ("test", task.test)):
        rows = part.X if text_of is None else list(map(text_of, part.X))
        parts[name] = Part(rows, list(map(label_of, part.y)))
    kind = task.kind if text_of is None else "texts"
    return replace(task, **parts, kind=kind, metric="accuracy")


def _is_related(number: str) -> str:
    """Return whether a number from 1 to 5 is nearer to its upper end."""
    return str(float(number) > _MIDDLE)


def _first_type(tags: Sequence[str]) -> str:
    """Return the type of the first entity of a sentence, "none" if there is none."""
    return next((tag.partition("-")[2] for tag in tags if tag != "O"), "none")


def _relatedness(
    vectors: Any, texts: Sequence[str], sides: Sequence[Sequence[str]], numbers: NDArray[np.float64]
) -> float:
    """Return the rank correlation between the cosines of pairs and people's numbers."""
    number_of = {text: number for number, text in enumerate(texts)}
    first, second = (vectors[[number_of[text] for text in side]] for side in sides)
    product = first.multiply(second) if sparse.issparse(first) else first * second
    return float(spearmanr(np.asarray(product.sum(1)).ravel(), numbers).statistic)


def _probe(model: _Model, task: Task, penalties: Sequence[float]) -> float:
    """Return the accuracy of logistic regression on a model's vectors."""
    features = PairFeatures(model.make()) if task.kind == "pairs" else model.make()
    features.fit(task.train.X)
    train, valid, test = (features.transform(p.X) for p in (task.train, task.valid, task.test))
    if not sparse.issparse(train):
        scale = StandardScaler().fit(train)
        train, valid, test = map(scale.transform, (train, valid, test))
    else:
        penalties = [1e3 * C for C in penalties]  # its features are rare, and not scaled
    probe = choose_penalty(
        train, task.train.y, penalties, lambda m: task.score(m.predict(valid), task.valid)
    )
    return task.score(probe.predict(test))


def _timed_texts(tasks: Sequence[Task], n_texts: int) -> list[str]:
    """Return texts of all tasks, as many of each."""
    chosen: list[str] = []
    for task in tasks:
        rows = task.test.X[: -(-n_texts // len(tasks))]
        chosen += [text for row in rows for text in ([row] if isinstance(row, str) else row[:1])]
    return chosen[:n_texts]


def _time(
    fitted: dict[_Model, Any], rows: dict[_Model, dict[str, Any]], texts: list[str], repeats: int
) -> None:
    """Time all models in turn; ratios are to the embedder's first point."""
    runs = {model: partial(embedder.transform, texts) for model, embedder in fitted.items()}
    seconds = paired_seconds(runs, repeats)
    plain = next(model for model in fitted if model.point)
    for model in fitted:
        rows[model]["rows_per_s"] = len(texts) / median(seconds[model])
        rows[model]["speed_up"] = median_ratio(seconds[plain], seconds[model])
