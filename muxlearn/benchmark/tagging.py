"""Accuracy and rows/s of part-of-speech tags, every model from the same encoder and budget.

Sentences with one token and its tag a line, a blank line between sentences. Tags are reduced to
what stands before their first hyphen, as the Brown corpus joins remarks to its tags. The same
number of training steps of the same number of mixtures at every `n_mux`; each token's most
frequent tag stands beside.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

from muxlearn import MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.benchmark._models import AtPoint, FitTime, first_layers, fit, load_or_fit
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.box import packaged_minilm
from muxlearn.datasets import load_conll
from muxlearn.metrics import token_accuracy_score

Split = tuple[list[list[str]], list[list[str]], list[list[str]], list[list[str]]]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--data", type=Path, required=True, help="tokens and tags; may be gzipped")
    parser.add_argument("--n-mux", type=int, nargs="+", default=[1, 2, 5, 10])
    help = "layers of the plain network that is as fast"
    parser.add_argument("--plain-layers", type=int, default=1, help=help)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--n-train", type=int, default=50_000)
    parser.add_argument("--n-test", type=int, default=3_000)
    parser.add_argument(
        "--backbone",
        default=None,
        help="folder of an encoder, 'minilm', or 'scratch' for none; default the packaged one",
    )
    parser.add_argument("--multiplexer", default="subspace")
    parser.add_argument("--lexical-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--models", type=Path, default=None, help="keep fitted models there, take those that are"
    )
    parser.add_argument("--verbose", type=int, default=0)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    sentences, tags = read_tagged(args.data)
    results: dict[str, list[dict[str, float]]] = {}
    for seed in args.seeds:
        split = train_test_split(
            sentences, tags, train_size=args.n_train, test_size=args.n_test, random_state=seed
        )
        models = {"most frequent tag": fit(MostFrequentTag(), split[0], split[2])}
        models |= _neighbours(args, seed, split)
        for n_mux in args.n_mux:
            folder = args.models and args.models / f"n_mux_{n_mux}_seed_{seed}"
            model, taken = load_or_fit(build(args, n_mux, seed), split[0], split[2], folder)
            models[f"n_mux={n_mux}"] = model.set_params(dtype=args.dtype), taken
        for name, (model, taken) in models.items():
            results.setdefault(name, []).append(_judge(model, taken, split))
            print(f"seed {seed}, {name}: {results[name][-1]}", flush=True)
    # The models of the last seed predict in turn.
    runs = {name: partial(model.predict, split[1]) for name, (model, _) in models.items()}
    seconds = paired_seconds(runs, args.repeats)
    rows = [_row(name, results, seconds, len(split[1])) for name in models]
    sizes = f"{args.n_train} sentences to learn from, {args.n_test} to test"
    report(f"Tags, {args.multiplexer}, {args.dtype}, {sizes}", rows, args)
    return 0


def read_tagged(path: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Read sentences and their tags.

    Parameters
    ----------
    path : Path

    Returns
    -------
    sentences, tags : list of list of str
    """
    sentences, tags = load_conll(path, return_X_y=True)
    return sentences, [[tag.partition("-")[0] or tag for tag in row] for row in tags]


class MostFrequentTag(BaseEstimator):
    """Give each token the tag it had most often, and an unknown one the most frequent of all."""

    def fit(self, X: list[list[str]], y: list[list[str]]) -> MostFrequentTag:
        """Count tags."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for token, tag in zip(chain.from_iterable(X), chain.from_iterable(y), strict=True):
            counts[token][tag] += 1
        self.tag_of_ = {token: tags.most_common(1)[0][0] for token, tags in counts.items()}
        self.default_ = Counter(chain.from_iterable(y)).most_common(1)[0][0]
        return self

    def predict(self, X: list[list[str]]) -> list[list[str]]:
        """Look tags up."""
        return [[self.tag_of_.get(token, self.default_) for token in row] for row in X]


def build(args: Namespace, n_mux: int, seed: int) -> MuxTokenTagger:
    """Build the tagger for one row of the table."""
    return MuxTokenTagger(
        backbone=packaged_minilm() if args.backbone == "minilm" else args.backbone,
        architecture=TMUX(lexical_size=args.lexical_size, retrieval_weight=0.0),
        n_mux=n_mux,
        multiplexer=args.multiplexer,
        warm_up=None,
        dropout=0.0,
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        dtype=args.dtype,
        random_state=seed,
        verbose=args.verbose,
    )


def _neighbours(args: Namespace, seed: int, split: Split) -> dict[str, tuple[Any, FitTime]]:
    """Return the words alone, and a plain network of the encoder's first layers, both fitted."""

    def fitted(name: str, tagger: MuxTokenTagger) -> tuple[Any, FitTime]:
        folder = args.models and args.models / f"{name}_seed_{seed}"
        tagger, taken = load_or_fit(tagger, split[0], split[2], folder)
        return tagger.set_params(dtype=args.dtype), taken

    n_layers, models = args.plain_layers, {}
    if args.lexical_size:
        points = (1, 1), "words"
        tagger, taken = fitted("words", build(args, 1, seed).set_params(operating_points=points))
        models["words alone"] = AtPoint(tagger, "words"), taken
    plain = first_layers(build(args, 1, seed), n_layers, split[0], split[2])
    models[f"n_mux=1, layers: {n_layers}"] = fitted(f"layers_{n_layers}", plain)
    return models


def _judge(model: Any, taken: FitTime, split: Split) -> dict[str, float]:
    scores = {"accuracy": token_accuracy_score(split[3], model.predict(split[1]))}
    if isinstance(model, MuxTokenTagger):
        model.set_params(decode="learned")
        scores["viterbi"] = token_accuracy_score(split[3], model.predict(split[1]))
        model.set_params(decode=None)
    return {**scores, "fit_s": taken.seconds, "fit_cpu_s": taken.cpu_seconds}


def _row(
    name: str,
    results: dict[str, list[dict[str, float]]],
    seconds: dict[str, list[float]],
    n_rows: int,
) -> dict[str, Any]:
    accuracies = [result["accuracy"] for result in results[name]]
    alone = results.get("n_mux=1")
    drops = [a["accuracy"] - b for a, b in zip(alone or [], accuracies, strict=False)]
    decoded = [result["viterbi"] for result in results[name] if "viterbi" in result]
    twin = seconds.get("n_mux=1")
    return {
        "model": name,
        "accuracy": statistics.mean(accuracies),
        "drop": statistics.mean(drops) if drops else None,
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "viterbi": statistics.mean(decoded) if decoded else None,
        "fit_s": statistics.median(result["fit_s"] for result in results[name]),
        "fit_cpu_s": statistics.median(result["fit_cpu_s"] for result in results[name]),
        "rows_per_s": n_rows / statistics.median(seconds[name]),
        "speed_up": median_ratio(twin, seconds[name]) if twin else None,
    }
