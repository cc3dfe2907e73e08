"""The options of the command, and its run."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from muxlearn.benchmark._arguments import DTYPES, limit_threads, parse_point, positive
from muxlearn.benchmark._models import check_options
from muxlearn.benchmark._report import report
from muxlearn.benchmark.frontier._data import KINDS, METRICS, Task, read_task
from muxlearn.benchmark.frontier._estimators import (
    Size,
    describe,
    parse_backbone,
    parse_size,
    parse_teacher,
)
from muxlearn.benchmark.frontier._job import Job, Unit
from muxlearn.benchmark.frontier._linear import linear_units
from muxlearn.benchmark.frontier._multiplexed import alone_units, cascade_units, shared_units
from muxlearn.benchmark.frontier._plain import plain_units, size_of
from muxlearn.benchmark.frontier._plot import save_plot
from muxlearn.benchmark.frontier._stack import stack_units
from muxlearn.benchmark.frontier._table import make_table
from muxlearn.benchmark.frontier._tags import tag_units
from muxlearn.points import WORDS, as_point

__all__ = ["NEIGHBOURS", "add_arguments", "main"]

#: What one run may train, by the name that ``--models`` takes.
NEIGHBOURS: dict[str, Callable[[Namespace, Task], Iterator[Unit]]] = {
    "linear": linear_units,
    "tags": tag_units,
    "plain": plain_units,
    "shared": shared_units,
    "cascade": cascade_units,
}

_POINTS = "words 1,1 1,2 1,5"

#: Options that a second run on the same folder may change.
_FREE = (
    *("alone", "command", "data", "json", "layers", "main", "models", "plain", "plot", "points"),
    *("quick", "seeds", "stack", "test", "valid", "work"),
)

#: Defaults with ``--quick``.
_QUICK: dict[str, Any] = {
    "models": ["linear", "tags", "plain", "shared"],  # a cascade needs hundreds of rows to learn
    "backbone": "scratch",
    "scratch": Size(1, 32),
    "plain": [Size(1, 16)],
    "vocab_size": 500,
    "points": [parse_point(point) for point in ("words", "1,1", "2", "1,2")],
    "penalties": [1.0, 10.0],
    "epochs": 1,
    "seeds": [0],
    "max_train": 200,
    "max_test": 100,
    "timed_rows": 64,
    "repeats": 1,
    "int8": False,
}


class _Default(NamedTuple):
    """The value of an option that was not given, without ``--quick`` and with it."""

    usual: Any
    quick: Any


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument_group("the task").add_argument
    help = "rows to learn from, may be gzipped; or films, or headlines or documents of BBC News"
    add("--data", type=Path, required=True, help=help)
    add("--test", type=Path, help="default: the file beside --data with 'test' for 'train'")
    add("--valid", type=Path, help="rows to choose by; default: as --test, or a tenth of --data")
    add("--kind", choices=KINDS, help="default: what the file looks like")
    add("--metric", choices=METRICS, help="default: accuracy, of entities their F1")
    add("--max-train", type=positive, help="the most rows to learn from")
    help = "of the rows behind --max-train; the plain model labels them for all others"
    add("--unlabeled", type=int, default=0, help=help)
    help = "texts that augment_texts makes of each training text; labelled likewise"
    add("--made", type=int, default=0, metavar="N", help=help)
    add("--max-test", type=positive)
    add("--max-valid", type=positive, default=2000)
    add = parser.add_argument_group("the models").add_argument
    add("--models", nargs="+", choices=NEIGHBOURS, default=list(NEIGHBOURS))
    points = [parse_point(point) for point in _POINTS.split()]
    help = f"N rows, or N,P for P tokens of each, or words; default {_POINTS}"
    add("--points", nargs="+", type=parse_point, default=points, metavar="POINT", help=help)
    help = "points that get a model of their own"
    add("--alone", nargs="+", type=parse_point, default=[], metavar="POINT", help=help)
    help = "a folder, 'packaged', 'minilm' or 'scratch'"
    add("--backbone", type=parse_backbone, default="packaged", help=help)
    help = "first layers of the packaged encoder that multiplexed models keep; default: 3 all"
    add("--layers", nargs="+", type=_layers, metavar="LAYERS", help=help)
    help = "plain networks beside: layers x width such as 2x128, or a folder; default: by factors"
    add("--plain", nargs="*", type=_size_or_folder, help=help)
    add("--scratch", type=parse_size, default=Size(4, 256), help="size of --backbone scratch")
    add("--head-size", type=positive, default=32, help="width of a head of encoders from scratch")
    add("--vocab-size", type=positive, default=8000, help="of encoders from scratch")
    help = "encoder that teaches narrower ones before the task: a folder, or 'minilm'"
    add("--teacher", type=parse_teacher, help=help)
    add("--distillation-epochs", type=int, default=1)
    help = "also stack each network with TF-IDF, which learns from the rows to choose by"
    add("--stack", action="store_true", help=help)
    add("--no-int8", dest="int8", action="store_false", help="leave out ONNX with int8")
    add = parser.add_argument_group("the training").add_argument
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--epochs", type=int, default=3)
    help = "of the model for all points; default: two thirds of --epochs for each but the words"
    add("--shared-epochs", type=positive, help=help)
    add("--warm-up-epochs", type=int, default=0)
    add("--max-length", type=positive, default=128)
    add("--batch-size", type=positive, default=32)
    add("--lr", type=float, help="default: the estimator's")
    help = "of the training, such as bfloat16; predictions are in the estimator's default"
    add("--dtype", choices=DTYPES, default="auto", help=help)
    add("--penalties", type=float, nargs="+", default=[0.3, 3.0, 30.0, 300.0], help="C to try")
    add("--max-drop", type=float, default=0.005, help="of the cascade, below its last stage")
    add("--verbose", type=int, default=0)
    add = parser.add_argument_group("the run").add_argument
    add("--threads", type=positive, default=1)
    add("--timed-rows", type=positive, default=1024)
    add("--repeats", type=positive, default=3, help="timed turns of each seed")
    add("--work", type=Path, help="folder that keeps what is finished, for a run that is killed")
    add("--plot", type=Path, help="also draw the table there")
    add("--quick", action="store_true", help="small defaults, to try the command out")
    usual = {name: parser.get_default(name) for name in _QUICK}
    parser.set_defaults(**{name: _Default(usual[name], _QUICK[name]) for name in _QUICK})


def _layers(text: str) -> int | None:
    return None if text == "all" else positive(text)


def _size_or_folder(text: str) -> Size | Path:
    return Path(text) if Path(text).is_dir() else parse_size(text)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    choose_defaults(args)
    if args.layers is None:
        args.layers = [3, None] if args.backbone == "packaged" else [None]
    elif args.layers != [None] and args.backbone != "packaged":
        raise SystemExit(f"--layers is for the packaged encoder; --backbone is {args.backbone}")
    for name in ("backbone", "teacher"):
        given = getattr(args, name)
        if isinstance(given, Path) and not given.is_dir():
            raise SystemExit(f"--{name}: there is no folder '{given}'")
    if WORDS in args.alone:
        raise SystemExit("--alone is for points that run the encoder; give words to --points")
    if not {*args.points} - {WORDS}:
        raise SystemExit("--points has the words alone; add a point that runs the encoder, as 1,2")
    limit_threads(args.threads)
    task = read_task(
        args.data,
        kind=args.kind,
        test=args.test,
        valid=args.valid,
        metric=args.metric,
        max_train=args.max_train,
        max_test=args.max_test,
        max_valid=args.max_valid,
        n_unlabeled=args.unlabeled,
        n_made=args.made,
    )
    with _folder(args, task) as folder:
        jobs = [Job(args, task, seed, folder / f"seed-{seed}") for seed in args.seeds]
        if args.plain is None:
            args.plain = smaller_sizes(size_of(jobs[0].start.module_.encoder), args.head_size)
        results, failed = _run(jobs)
    rows = make_table(results)
    more = f"{len(task.unlabeled)} more without labels, " if task.unlabeled else ""
    title = (
        f"{task.name}, {task.metric}: {len(task.train.X)} rows to learn from, {more}"
        f"{len(task.test.X)} to test"
    )
    report(title, rows, Namespace(**{**vars(args), **_shown(args)}))
    if args.plot is not None and rows:
        save_plot(rows, title, task.metric, args.plot)
    if failed:
        print(f"failed, see above: {', '.join(failed)}")
    return 1 if failed else 0


def choose_defaults(args: Namespace) -> None:
    """Put values in the place of the options that were not given."""
    for name, value in vars(args).items():
        if isinstance(value, _Default):
            setattr(args, name, value.quick if args.quick else value.usual)


def _run(jobs: list[Job]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the results of all units, and the names of those that failed."""
    results, failed = [], []
    for job in jobs:
        for make in [*(NEIGHBOURS[name] for name in job.args.models), alone_units, stack_units]:
            for unit in make(job.args, job.task):
                try:
                    results += job.run(unit)
                except Exception:  # one model of many: a night's work goes on without it
                    traceback.print_exc()
                    failed.append(f"{unit.name} of seed {job.seed}")
    return results, failed


def _shown(args: Namespace) -> dict[str, Any]:
    """Return the options that JSON cannot hold as they are."""
    plain = [given.name if isinstance(given, Path) else str(given) for given in args.plain]
    points = {name: describe(getattr(args, name)) for name in ("points", "alone")}
    return points | {"plain": plain, "scratch": str(args.scratch)}


def smaller_sizes(whole: Size, head_size: int) -> list[Size]:
    """Return the sizes of plain networks that save what the operating points save.

    Parameters
    ----------
    whole : Size
        Size of the encoder.
    head_size : int
        Widths are multiples of it, where they are not below it.

    Returns
    -------
    list of Size
        Shallower ones, which start from the encoder's own layers, narrower ones, and both.
    """

    def narrow(part: int) -> int:
        n_heads = whole.width // part // head_size
        return n_heads * head_size or max(1, whole.width // part)

    n_layers = whole.n_layers
    shallow = [Size(n, whole.width) for n in (n_layers // 2, 1) if 0 < n < n_layers]
    deep = [Size(n_layers, narrow(part)) for part in (2, 3, 4)]
    both = [Size(1, narrow(part)) for part in (2, 4)]
    return list(dict.fromkeys([*shallow, *deep, *both]))


@contextlib.contextmanager
def _folder(args: Namespace, task: Task) -> Iterator[Path]:
    """Give the folder of the run, once it is sure that it holds results of the same options."""
    if args.work is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    options = {name: str(value) for name, value in vars(args).items() if name not in _FREE}
    options["rows"] = task.fingerprint
    # Plain networks read the words beside their encoder where the others do.
    options["words"] = str(WORDS in map(as_point, args.points))
    check_options(args.work, options, "--work")
    yield args.work
