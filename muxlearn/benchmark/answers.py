"""Numbers and several labels beside linear neighbours on the same rows.

A file of numbers with texts or pairs of texts is a regression: Pearson and Spearman correlation of
one `MuxTextRegressor` on the test rows, at each of its operating points, beside ridge regression on
TF-IDF and on static vectors of the same tokens. A file of tagged sentences becomes texts with
several labels, the kinds of entities that a sentence mentions, of which there may be none: micro
and macro F1 of one `MuxTextClassifier` beside `OneVsRestClassifier` of logistic regressions. The
penalties of the neighbours are chosen on a tenth of the training rows, from which no model learns.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from muxlearn import MuxTextClassifier, MuxTextRegressor
from muxlearn.benchmark._arguments import limit_threads, parse_point, positive
from muxlearn.benchmark._models import FitTime, fit, load_or_fit
from muxlearn.benchmark._report import paired_seconds, report
from muxlearn.benchmark.frontier import (
    FEATURES,
    PairFeatures,
    as_backbone,
    as_given,
    beside,
    describe,
    kind_of,
    parse_backbone,
)
from muxlearn.datasets import load_conll, load_labelled, load_pairs
from muxlearn.points import WORDS

_VALID_SIZE = 0.1
_PENALTIES = (0.03, 0.3, 3.0, 30.0, 300.0)


@dataclass(frozen=True)
class _Task:
    """Rows with their targets, and what answers are measured by.

    Attributes
    ----------
    train, valid, test : (list, ndarray)
        Rows and targets.
    estimator : type
    neighbour : callable
        Takes a penalty, returns a linear model.
    measures : dict of str to callable
        Take what is true and what was predicted; the first chooses penalties.
    """

    train: tuple[Any, Any]
    valid: tuple[Any, Any]
    test: tuple[Any, Any]
    estimator: type
    neighbour: Callable[[float], Any]
    measures: Mapping[str, Callable[[Any, Any], Any]]

    @property
    def of_pairs(self) -> bool:
        """Whether a row is a pair of texts."""
        return not isinstance(self.train[0][0], str)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    help = "numbers with texts or pairs of texts, or tagged sentences; may be gzipped"
    add("--data", type=Path, required=True, help=help)
    help = "default: the file beside --data with 'test' for 'train'"
    add("--test", type=Path, help=help)
    add("--max-train", type=positive, help="the most rows to learn from")
    add("--max-test", type=positive)
    points = [parse_point(point) for point in ("words", "1,1", "1,2", "1,5")]
    help = "N rows, or N,P for P tokens of each, or words"
    add("--points", nargs="+", type=parse_point, default=points, metavar="POINT", help=help)
    help = "a folder, 'packaged', 'minilm' or 'scratch'"
    add("--backbone", type=parse_backbone, default="packaged", help=help)
    add("--epochs", type=int, default=4)
    add("--batch-size", type=positive, default=32)
    add("--lr", type=float, help="default: the estimator's")
    add("--seed", type=int, default=0)
    add("--threads", type=positive, default=1)
    add("--timed-rows", type=positive, default=512)
    add("--repeats", type=positive, default=3)
    add("--work", type=Path, help="folder that keeps the fitted model")


def main(args: Namespace) -> int:
    """Run the benchmark."""
    if not {*args.points} - {WORDS}:
        raise SystemExit("--points has the words alone; add a point that runs the encoder, as 1,2")
    limit_threads(args.threads)
    task = _read(args)
    rows = []
    timed = [task.test[0][i % len(task.test[0])] for i in range(args.timed_rows)]
    candidates = {name: (kind, predict, taken) for name, kind, predict, taken in _fit(args, task)}
    runs = {name: partial(predict, timed) for name, (_, predict, _) in candidates.items()}
    seconds = paired_seconds(runs, args.repeats)
    for name, (kind, predict, taken) in candidates.items():
        predicted = predict(task.test[0])
        scores = {m: float(f(task.test[1], predicted)) for m, f in task.measures.items()}
        speed = len(timed) / float(np.median(seconds[name]))
        rows.append(
            {
                "model": name,
                "kind": kind,
                **scores,
                "rows_per_s": speed,
                "fit_cpu_s": taken.cpu_seconds,
            }
        )
    name = args.data.name.partition(".")[0].replace("-train", "")
    title = f"{name}: {len(task.train[0])} rows to learn from, {len(task.test[0])} to test"
    report(title, rows, Namespace(**{**vars(args), "points": describe(args.points)}))
    return 0


# The task


def _read(args: Namespace) -> _Task:
    X, y = _load(args.data)
    file = args.test or beside(args.data, "test")
    if file is None:
        raise SystemExit(
            f"--test is missing, and there is no file beside '{args.data}' with 'test' for 'train' "
            "in its name; give --test FILE"
        )
    test = _load(file)
    train, valid = train_test_split(np.arange(len(X)), test_size=_VALID_SIZE, random_state=0)
    train = train[: args.max_train]
    if isinstance(y, list):
        kinds = MultiLabelBinarizer().fit([*y, *test[1]])  # columns mean the same in both files
        y, test = kinds.transform(y), (test[0], kinds.transform(test[1]))
    parts: dict[str, Any] = {
        "train": ([X[i] for i in train], y[train]),
        "valid": ([X[i] for i in valid], y[valid]),
        "test": (test[0][: args.max_test], test[1][: args.max_test]),
    }
    if y.ndim == 1:
        measures: dict[str, Any] = {
            "pearson": lambda true, said: pearsonr(true, said)[0],
            "spearman": lambda true, said: spearmanr(true, said)[0],
        }
        return _Task(**parts, estimator=MuxTextRegressor, neighbour=Ridge, measures=measures)
    f1 = {f"{how}_f1": partial(f1_score, average=how, zero_division=0) for how in _AVERAGES}
    return _Task(**parts, estimator=MuxTextClassifier, neighbour=_one_vs_rest, measures=f1)


_AVERAGES = ("micro", "macro")


def _one_vs_rest(penalty: float) -> OneVsRestClassifier:
    return OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=300))


def _load(path: Path) -> tuple[Sequence[Any], Any]:
    """Return rows with a number each, or texts with the kinds of entities in them."""
    for load in (load_pairs, load_labelled):
        try:
            X, y = load(path, target="number", return_X_y=True)
        except ValueError:
            continue
        return X, np.asarray(y, np.float64)
    sentences, tags = load_conll(path, return_X_y=True)
    kinds = [{tag[2:] for tag in row if tag != "O"} for row in tags]
    return [" ".join(tokens) for tokens in sentences], kinds


# The models


def _fit(args: Namespace, task: _Task) -> Iterator[tuple[str, str, Callable[[Any], Any], FitTime]]:
    """Yield name, kind, prediction and time of each model."""
    running = [point for point in args.points if point != WORDS]
    model = task.estimator(
        max(point.n_mux for point in running),
        patch_size=running[0].patch_size,
        operating_points=tuple(map(as_given, args.points)),
        backbone=as_backbone(args.backbone),
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr or "auto",
        random_state=args.seed,
    )
    fitted, taken = load_or_fit(model, *task.train, args.work)
    for point in args.points:
        predict = partial(fitted.predict, n_mux=as_given(point))
        yield describe([point]), kind_of(point), predict, taken
    # Another one, which is not trained: that of the points is still to predict.
    start = clone(model).set_params(max_epochs=0, warm_up=None).fit(*task.train)
    for name in ("TF-IDF", "TF-IDF, two words", "static vectors", "TF-IDF + static"):
        features = FEATURES[name](start)
        neighbour = _Linear(PairFeatures(features) if task.of_pairs else features, task)
        neighbour, taken = fit(neighbour, *task.train)
        yield name, "linear", neighbour.predict, taken


class _Linear:
    """A linear model on features, its penalty chosen on rows that it does not learn from."""

    def __init__(self, features: Any, task: _Task) -> None:
        self.features = features
        self.task = task

    def fit(self, X: Any, y: Any) -> _Linear:
        table = self.features.fit(X).transform(X)
        valid = self.features.transform(self.task.valid[0])
        measure, *_ = self.task.measures.values()
        models = [self.task.neighbour(penalty).fit(table, y) for penalty in _PENALTIES]
        scores = [measure(self.task.valid[1], model.predict(valid)) for model in models]
        self.model_ = models[int(np.argmax(scores))]
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        return self.model_.predict(self.features.transform(X))
