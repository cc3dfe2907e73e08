"""Effect of the rows of others on the predictions of a group, by every way to predict.

A quarter of the rows are one group's, at places drawn at random. They are predicted beside others
that say ordinary things, beside hostile ones at the same places, and with as many others again in
between. The model is small and has learned nothing: its probabilities are close, and flip easily.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxlearn import MuxTextClassifier
from muxlearn.benchmark._engines import ENGINES, Place
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.benchmark._scale_stream import tiny_model

_HOSTILE = ("", "\x00", "\U0001f600" * 99, "\u202e" + "a" * 300, "goal " * 40, "[PAD]", "\ufeff")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--engine-rows", type=int, default=100_000, help="of Dask, Ray and Spark")
    parser.add_argument("--by", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--words-per-text", type=int, nargs=2, default=[1, 8])
    parser.add_argument("--slots", type=int, default=10, help="n_mux of the model")
    parser.add_argument("--hidden-size", type=int, default=32)
    parser.add_argument("--hidden-layers", type=int, default=1)


def main(args: Namespace) -> int:
    """Run the benchmark; the status is 1 where the content of others has changed a label."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as parent:
        tiny_model(args).save(Path(parent, "model"))
        for name in args.by:
            n_rows = args.engine_rows if name in ENGINES else args.rows
            with WAYS[name]() as place:
                before, *after = (
                    _own_probabilities(place, frame, Path(parent, "model"))
                    for frame in _frames(n_rows, tuple(args.words_per_text))
                )
            moved = [np.abs(before - other).max(1) for other in after]
            flipped = [(before.argmax(1) != other.argmax(1)).sum() for other in after]
            rows.append(
                {
                    "by": name,
                    "rows": n_rows,
                    "of_the_group": len(before),
                    "labels_by_content": int(flipped[0]),
                    "most_by_content": float(moved[0].max()),
                    "labels_by_number": int(flipped[1]),
                    "most_by_number": float(moved[1].max()),
                }
            )
            print(rows[-1], flush=True)
    report(
        f"labels of a group's rows that change with the rows of others, and the largest change of "
        f"a probability, n_mux={args.slots}",
        rows,
        args,
    )
    return int(any(row["labels_by_content"] for row in rows))


def _own_probabilities(place: Place, frame: Any, folder: Path) -> NDArray[Any]:
    """Predict a frame; returns what comes of the group's rows, in their order."""
    predict = place(frame.assign(number=range(len(frame))))
    given = predict(folder, groups="tenant", method="predict_proba")
    given = given[given["tenant"] == 0] if "tenant" in given else given
    by_number = given.set_index("number")["probabilities"].sort_index()
    return np.stack(
        by_number[np.intersect1d(by_number.index, np.flatnonzero(frame["tenant"] == 0))]
    )


def _frames(n_rows: int, n_words: tuple[int, int]) -> Iterator[Any]:
    """Draw the places of group 0, and give three sets of rows in which its rows are the same."""
    import pandas as pd

    rng = np.random.default_rng(0)
    texts = np.array(synthetic_texts(5000, n_words), object)[rng.integers(5000, size=n_rows)]
    own = rng.random(n_rows) < 0.25
    groups = np.where(own, 0, rng.integers(1, 20, n_rows))
    yield pd.DataFrame({"text": texts, "tenant": groups})
    strange = np.array(_HOSTILE, object)[rng.integers(len(_HOSTILE), size=n_rows)]
    hostile = np.where(own, texts, strange)
    yield pd.DataFrame({"text": hostile, "tenant": groups})
    places = np.sort(rng.integers(n_rows, size=int((~own).sum())))
    yield pd.DataFrame(
        {
            "text": np.insert(hostile, places, "something else"),
            "tenant": np.insert(groups, places, 20),
        }
    )


@contextmanager
def _in_process(predict: Callable[..., Any]) -> Iterator[Place]:
    yield lambda frame: partial(predict, frame)


def _predict(frame: Any, folder: Path, **options: Any) -> Any:
    model = MuxTextClassifier.load(folder)
    return frame.assign(
        probabilities=list(model.predict_proba(frame["text"], groups=frame["tenant"]))
    )


def _predict_iter(frame: Any, folder: Path, **options: Any) -> Any:
    model = MuxTextClassifier.load(folder)
    answers = model.predict_iter(frame["text"], groups=frame["tenant"], method="predict_proba")
    return frame.assign(probabilities=list(answers))


def _predict_dataset(frame: Any, folder: Path, **options: Any) -> Any:
    import pandas as pd

    with tempfile.TemporaryDirectory() as parent:
        file = Path(parent, "texts.parquet")
        frame.to_parquet(file)
        output = MuxTextClassifier.load(folder).predict_dataset(
            file, Path(parent, "out"), keep=["number"], **options
        )
        return pd.read_parquet(output)


#: What takes a frame and then a folder, and returns a frame with a column "probabilities".
WAYS: dict[str, Callable[[], AbstractContextManager[Place]]] = {
    "predict": partial(_in_process, _predict),
    "predict_iter": partial(_in_process, _predict_iter),
    "predict_dataset": partial(_in_process, _predict_dataset),
    **ENGINES,
}
