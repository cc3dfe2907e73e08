"""Effect of the rows of others on the predictions of a group, by every way to predict.

A quarter of the rows are one group's, at places drawn at random. They are predicted beside others
that say ordinary things, beside hostile ones at the same places, and with as many others again in
between. The model is small and has learned nothing: its probabilities are close, and flip easily.

The server gathers requests by the time of their arrival, so that the rows of one group have other
companions at every run. Each row of a quarter is therefore a tenant of its own there, and must
get the answer that it gets alone.
"""

from __future__ import annotations

import json
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
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._engines import ENGINES, Place
from muxlearn.benchmark._load import ask, example_server, serving
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.benchmark._scale_stream import tiny_model

#: What a batch of another shape may change of a probability (docs/guide/promises.rst): the label of
#: a row whose two best classes are nearer to each other says nothing.
_ROUNDING = 1e-6

_HOSTILE = ("", "\x00", "\U0001f600" * 99, "\u202e" + "a" * 300, "goal " * 40, "[PAD]", "\ufeff")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--rows", type=positive, default=1_000_000)
    add("--engine-rows", type=positive, default=100_000, help="of Dask, Ray and Spark")
    add("--requests", type=positive, default=100_000, help="of the server")
    add("--clients", type=positive, default=64, help="requests at a time")
    add("--by", nargs="+", choices=[*WAYS, "server"], default=[*WAYS, "server"])
    add("--words-per-text", type=int, nargs=2, default=[1, 8])
    add("--slots", type=positive, default=10, help="n_mux of the model")
    add("--hidden-size", type=positive, default=32)
    add("--hidden-layers", type=positive, default=1)


def main(args: Namespace) -> int:
    """Run the benchmark; the status is 1 where the content of others has changed a label."""
    rows: list[dict[str, Any]] = []
    if "server" in args.by:
        example_server()  # or raise before the hours of the other ways
    with tempfile.TemporaryDirectory() as parent:
        tiny_model(args).save(Path(parent, "model"))
        for name in args.by:
            judge = _in_server if name == "server" else partial(_by, name)
            rows.append({"by": name, **judge(args, Path(parent))})
            print(rows[-1], flush=True)
    report(
        f"labels of a group's rows that change with the rows of others, and the largest change of "
        f"a probability, n_mux={args.slots}",
        rows,
        args,
    )
    return int(any(row["labels_by_content"] for row in rows))


def _by(name: str, args: Namespace, parent: Path) -> dict[str, Any]:
    """Compare the predictions of a group beside three sets of others."""
    n_rows = args.engine_rows if name in ENGINES else args.rows
    with WAYS[name]() as place:
        before, *after = (
            _own_probabilities(place, frame, parent / "model")
            for frame in _frames(n_rows, tuple(args.words_per_text))
        )
    moved = [np.abs(before - other).max(1) for other in after]
    flipped = [
        ((before.argmax(1) != other.argmax(1)) & (change > _ROUNDING)).sum()
        for other, change in zip(after, moved, strict=True)
    ]
    return {
        "rows": n_rows,
        "of_the_group": len(before),
        "labels_by_content": int(flipped[0]),
        "most_by_content": float(moved[0].max()),
        "labels_by_number": int(flipped[1]),
        "most_by_number": float(moved[1].max()),
    }


def _in_server(args: Namespace, parent: Path) -> dict[str, Any]:
    """Compare the answers to tenants of one request each, among hostile ones, with those alone."""
    _, hostile, _ = _frames(args.requests, tuple(args.words_per_text))
    own = hostile["tenant"].to_numpy() == 0
    tenants = np.where(own, hostile.index, -hostile["tenant"]).astype(str).tolist()
    tokens = parent / "tokens.json"
    tokens.write_text(json.dumps({tenant: tenant for tenant in tenants}))
    bodies = [{"text": text} for text in hostile["text"]]
    options = [str(parent / "model"), "--tokens", str(tokens)]
    with serving(options, parent / "server.log") as port:
        answers = ask(port, bodies, args.clients, tokens=tenants)
    if failed := [answer for answer in answers if answer.status != 200]:
        raise RuntimeError(f"the server answered {failed[0].status}: {failed[0].content}")
    given = [answer.content for answer, ours in zip(answers, own, strict=True) if ours]
    model = MuxTextClassifier.load(parent / "model")
    alone = model.predict_proba(hostile["text"][own], groups=np.arange(own.sum()))
    labels = np.array([answer["label"] for answer in given])
    same = alone[np.arange(len(given)), np.searchsorted(model.classes_, labels)]
    moved = np.abs(same - [answer["probability"] for answer in given])
    flipped = (labels != model.classes_[alone.argmax(1)]) & (moved > _ROUNDING)
    return {
        "rows": args.requests,
        "of_the_group": len(given),
        "labels_by_content": int(flipped.sum()),
        "most_by_content": float(moved.max()),
        "labels_by_number": None,
        "most_by_number": None,
    }


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
