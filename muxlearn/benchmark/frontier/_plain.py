"""Plain encoders: the reference, those that are shallower or narrower, and int8 of each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from muxlearn.benchmark._models import FitTime, as_file_name, first_layers, layers_of
from muxlearn.benchmark.frontier._data import Task
from muxlearn.benchmark.frontier._estimators import PLAIN, Size, as_backbone, as_given, scratch
from muxlearn.benchmark.frontier._job import REFERENCE, Candidate, Job, Unit
from muxlearn.export import OnnxMuxClassifier, OnnxMuxTagger, export_onnx
from muxlearn.nn.multiplex import start_from_components
from muxlearn.points import WORDS
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.rows import split_pairs

__all__ = ["plain_units", "size_of"]

_ONNX = ("onnx", "onnxruntime", "onnxscript")


def plain_units(args: Namespace, task: Task) -> Iterator[Unit]:
    """Yield the plain model, and the smaller ones that the options ask for."""
    yield Unit(REFERENCE, _reference)
    for given in args.plain:
        yield Unit(f"plain {_label(given)}", partial(_smaller, given))


def _label(given: Size | Path) -> str:
    return given.name if isinstance(given, Path) else str(given)


def _reference(job: Job) -> Iterator[Candidate]:
    yield from _with_int8(job, REFERENCE, *job.reference)


def _smaller(given: Size | Path, job: Job) -> Iterator[Candidate]:
    name = f"plain {_label(given)}"
    whole = size_of(job.start.module_.encoder)
    if isinstance(given, Path):
        model = job.build([PLAIN], backbone=given)
    elif job.args.backbone != "scratch" and given.width == whole.width:
        model = _shallower(job, given, whole)
    elif job.args.teacher is not None:
        model = job.build([PLAIN], backbone=_distilled(job, given))
    else:
        model = _narrower(job, given)
    yield from _with_int8(job, name, *job.keep(name, model))


def size_of(encoder: Any) -> Size:
    """Return the size of an encoder, of this library or of `transformers`."""
    return Size(len(layers_of(encoder)), encoder.hidden_size)


def _shallower(job: Job, size: Size, whole: Size) -> Any:
    """Return a model that starts from the first layers of the encoder."""
    if size.n_layers > whole.n_layers:
        raise ValueError(f"plain size {size} has more layers than the encoder, which is {whole}")
    return first_layers(job.build([PLAIN]), size.n_layers, job.lesson.X, job.lesson.y)


def _narrower(job: Job, size: Size) -> Any:
    """Return a model with a token table that starts from the components of the encoder's."""
    start = job.start
    params = {} if job.task.kind == "sentences" else {"tokenizer": start.tokenizer_}
    encoder = scratch(job.args, size, **params)
    model, _ = job.train(job.build([PLAIN], backbone=encoder, max_epochs=0, warm_start=True))
    if params and job.args.backbone != "scratch":
        own, table = model.module_.encoder.embedding, start.module_.encoder.embedding.weight
        # A table may hold rows for tokens that the tokenizer does not know.
        start_from_components(own, table.detach()[: own.num_embeddings])
    return model.set_params(max_epochs=job.args.epochs, dtype=job.args.dtype)


def _distilled(job: Job, size: Size) -> Path:
    """Warm an encoder up on the texts of the task, as the packaged one was, and save it."""
    folder = job.place("models") / f"distilled-{size}"
    if not (folder / "config.json").exists():
        rows = [*job.task.train.X, *job.task.unlabeled]
        texts = map(" ".join, rows) if job.task.kind == "sentences" else split_pairs(rows)
        pretrainer = MuxTextPretrainer(
            n_mux=1,
            operating_points=(as_given(PLAIN), as_given(WORDS)),
            backbone=scratch(job.args, size),
            teacher=as_backbone(job.args.teacher),
            max_length=job.args.max_length,
            max_epochs=job.args.distillation_epochs,
            batch_size=job.args.batch_size,
            random_state=job.seed,
            verbose=job.args.verbose,
        )
        pretrainer.fit([text for text in dict.fromkeys(texts) if text]).save(folder)
    return folder


def _with_int8(job: Job, name: str, model: Any, taken: FitTime) -> Iterator[Candidate]:
    """Yield a plain model, and the same in int8."""
    yield Candidate(name, "plain", model.predict, taken, model.predict_proba)
    if not job.args.int8:
        return
    if missing := [package for package in _ONNX if find_spec(package) is None]:
        print(f"{name}: no int8 without {', '.join(missing)}", flush=True)
        return
    folder = job.place("onnx") / as_file_name(name)
    if not folder.exists():
        export_onnx(model, folder, n_mux=as_given(PLAIN), dtype="int8")
    engine = OnnxMuxTagger if job.task.kind == "sentences" else OnnxMuxClassifier
    exported = engine.load(folder, n_threads=job.args.threads)
    yield Candidate(f"{name}, int8", "plain", exported.predict, taken, exported.predict_proba)
