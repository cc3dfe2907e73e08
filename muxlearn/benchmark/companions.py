"""Labels that flip when an adversary chooses the companions of a row.

The adversary can query the model: it puts texts of its own into the mixture of a row and sees the
row's probability. It begins with random texts, keeps what lowers the probability most, and
exchanges one of them at a time. A row has flipped when its label is not the one that it gets alone.
With tokens in place of rows, and with `groups`, the same texts are in the same call and share no
mixture with the row.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Packaged
from muxlearn.benchmark._arguments import positive, running_point
from muxlearn.benchmark._models import load_or_fit
from muxlearn.benchmark._news import bbc_headlines
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.datasets import load_labelled
from muxlearn.points import Point

#: Queries of a round, after which the adversary goes on with the best.
_N_TRIALS = 10
_POINTS = ("2", "5", "10", "1,10")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--data", type=Path, nargs=2, help="training and test texts")
    add("--points", type=running_point, nargs="+", default=[*map(running_point, _POINTS)])
    add("--backbone", help="a folder; default: the packaged encoder")
    add("--epochs", type=int, default=5)
    add("--max-length", type=positive, default=64)
    add("--train-rows", type=positive)
    add("--victims", type=positive, default=200, help="rows whose labels are attacked")
    add("--queries", type=positive, default=100, help="for each row")
    add("--models", type=Path, help="folder that keeps the models")


def main(args: Namespace) -> int:
    """Run the benchmark."""
    train, train_labels, test, test_labels = _read(args)
    rng = np.random.default_rng(0)
    # What others might send: texts of the task, made-up words, one word again and again, nothing.
    pool = [*rng.choice(np.array(train, object), min(len(train), 400), replace=False)]
    pool += [
        *synthetic_texts(100, (1, args.max_length)),
        *(f"{word} " * 60 for word in pool[0].split()),
    ]
    pool += ["", "!" * 200, "\u202e" + pool[1]]
    rows = []
    for point in args.points:
        model = MuxTextClassifier(
            n_mux=point.n_mux,
            patch_size=point.patch_size,
            backbone=args.backbone or Packaged(),
            max_length=args.max_length,
            max_epochs=args.epochs,
            random_state=0,
        )
        folder = args.models and args.models / str(point)
        model, _ = load_or_fit(model, train, train_labels, folder)
        found = attack(model, point, test[: args.victims], pool, args.queries, rng)
        rows.append(
            {
                "point": str(point),
                "accuracy": model.score(test, test_labels),
                **found,
            }
        )
        print(rows[-1], flush=True)
    report(
        f"labels that flip, of {args.victims} rows, by companions that are drawn at random and by "
        f"those that an adversary has found by {args.queries} queries",
        rows,
        args,
    )
    return 0


def _read(args: Namespace) -> tuple[list[str], list[Any], list[str], list[Any]]:
    if args.data is None:
        headlines, topics = bbc_headlines()
        train, test, train_labels, test_labels = train_test_split(
            headlines, topics, test_size=0.2, random_state=0, stratify=topics
        )
    else:
        (train, train_labels), (test, test_labels) = (
            load_labelled(file, return_X_y=True) for file in args.data
        )
    n_train = args.train_rows or len(train)
    return list(train)[:n_train], list(train_labels)[:n_train], list(test), list(test_labels)


def attack(
    model: Any,
    point: Point,
    victims: list[str],
    pool: list[str],
    n_queries: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Look for companions that flip the labels of rows.

    Parameters
    ----------
    model : MuxTextClassifier
    point : Point
        The operating point of the model.
    victims : list of str
    pool : list of str
        The texts that companions may be.
    n_queries : int
        For each of the rows.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to float
        Shares of the victims: flipped by the first companions, by the adversary, and by the
        adversary's companions with `groups`; and what is lost of the label's probability.
    """
    # Where no rows share a mixture, as many are in the call as tokens share a position.
    n_together = point.n_mux if point.n_mux > 1 else point.patch_size
    n_others = max(n_together, 2) - 1
    alone = model.predict_proba(victims, groups=range(len(victims)))
    labels = alone.argmax(1)
    numbers = np.arange(len(victims))
    first = rng.integers(len(pool), size=(len(victims), 1, n_others))
    best = first[:, 0]
    proba, flips = _ask(model, victims, pool, first, labels)
    lowest, flipped = proba[:, 0], flips[:, 0]
    by_chance = flipped.mean()
    for number in range(max(1, n_queries // _N_TRIALS)):
        trials = np.repeat(best[:, None], _N_TRIALS, axis=1)  # (n_victims, n_trials, n_others)
        if number == 0:
            trials = rng.integers(len(pool), size=trials.shape)
        else:
            places = rng.integers(n_others, size=trials.shape[:2])
            drawn = rng.integers(len(pool), size=trials.shape[:2])
            np.put_along_axis(trials, places[..., None], drawn[..., None], axis=2)
        proba, flips = _ask(model, victims, pool, trials, labels)
        winner = proba.argmin(1)
        better = proba[numbers, winner] < lowest
        best[better] = trials[numbers, winner][better]
        lowest = np.minimum(lowest, proba.min(1))
        flipped |= flips.any(1)
    apart = _ask(model, victims, pool, best[:, None], labels, together=False)[1]
    return {
        "by_chance": float(by_chance),
        "by_adversary": float(flipped.mean()),
        "with_groups": float(apart.mean()),
        "sure_alone": float(np.median(alone.max(1))),
        "lost_probability": float(np.median(alone.max(1) - lowest)),
    }


def _ask(
    model: Any,
    victims: list[str],
    pool: list[str],
    trials: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    together: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Predict each row among each trial's companions, (n_victims, n_trials): what became of it.

    Every trial is a group of its own, and one mixture; not `together`, the row is one alone.
    """
    n_victims, n_trials, n_others = trials.shape
    texts: list[str] = []
    groups: list[int] = []
    for victim, of_victim in zip(victims, trials, strict=True):
        for companions in of_victim:
            number = len(texts)
            texts += [victim, *(pool[i] for i in companions)]
            groups += [number if together else -number - 1, *[number] * n_others]
    proba = model.predict_proba(texts, groups=groups)[:: n_others + 1]
    proba = proba.reshape(n_victims, n_trials, -1)
    flips = proba.argmax(2) != labels[:, None]
    return np.take_along_axis(proba, labels[:, None, None], 2)[..., 0], flips
