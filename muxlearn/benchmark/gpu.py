"""Measure what multiplexing saves on a GPU: texts, images and long texts, with their plain twins.

Every model runs at several batch sizes, up to the memory's end, and is judged at its best one;
`rows_per_s` counts rows, not mixtures. Texts run eagerly, as CUDA graphs, and compiled. The twin
is the same network at ``(1, 1)``, with every trick of the others.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from muxlearn.benchmark import mimoformer
from muxlearn.benchmark._arguments import TORCH_DTYPES, positive, running_point
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.box import read_box
from muxlearn.nn.demultiplex import NestedDemultiplexer
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.multiplex import NestedMultiplexer
from muxlearn.persistence import TOKENIZER
from muxlearn.points import Point

_SIZES = {"6 x 384": (6, 384, 12), "12 x 768": (12, 768, 12)}
_SECTIONS = ("text", "strings", "image", "mimoformer")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--dtype", choices=TORCH_DTYPES, default="bfloat16")
    add("--sections", nargs="+", choices=_SECTIONS, default=_SECTIONS)
    add(
        "--points",
        nargs="+",
        type=running_point,
        default=[running_point(p) for p in ("1", "1,2", "1,5", "1,10", "2", "5", "10", "2,5")],
        help="operating points: 5 is five rows, 2,5 two rows of five tokens",
    )
    add("--sizes", nargs="+", choices=list(_SIZES), default=list(_SIZES))
    add("--length", type=positive, default=64, help="tokens of a text")
    add("--batch-rows", type=positive, nargs="+", default=[320, 1280, 5120, 20480])
    add("--image-batches", type=positive, nargs="+", default=[256, 1024, 2048])
    add("--image-sizes", type=positive, nargs=2, default=[28, 10], help="depth, width")
    add("--long", type=positive, nargs=2, default=[64, 1024], help="rows, tokens")
    add("--n-texts", type=positive, default=65_536)
    add("--workers", type=positive, default=12, help="processes that tokenize")
    add("--compile", type=int, default=1280, help="rows; 0 leaves it out")
    add("--budget", type=float, default=0.3, help="seconds a measurement takes")


def main(args: Namespace) -> int:
    """Run the benchmark."""
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            "no CUDA device: PyTorch sees none. On a CPU use `python -m muxlearn.benchmark speed`, "
            "or rehearse with --device cpu --dtype float32 and small sizes"
        )
        return 2
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    sections: dict[str, Callable[[Namespace, torch.device], Iterator[dict[str, Any]]]] = {
        "text": _text,
        "strings": _strings,
        "image": _image,
        "mimoformer": _mimoformer,
    }
    json_path: Path | None = args.json
    status = 0
    for name in args.sections:
        rows: list[dict[str, Any]] = []
        began = time.monotonic()
        try:
            for row in sections[name](args, device):
                rows.append(row)
                print(json.dumps(row), flush=True)
        except Exception as error:  # the other sections are worth having
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            rows.append({"error": f"{type(error).__name__}: {error}"[:300]})
            status = 1
        if json_path is not None:
            args.json = json_path.with_name(f"{json_path.stem}-{name}.json")
        _add_speed_up(rows)
        report(f"{name}, {args.dtype}, {time.monotonic() - began:.0f} s", _best(rows), args)
        if json_path is not None:
            every = json_path.with_name(f"{json_path.stem}-{name}-all.jsonl")
            every.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return status


def _add_speed_up(rows: list[dict[str, Any]]) -> None:
    """Compare the best of each point with the best of its twin."""
    best: dict[Any, float] = {}
    for row in rows:
        if row.get("twin"):
            key = row.get("model"), row.get("how")
            best[key] = max(best.get(key, 0.0), row.get("rows_per_s", 0.0))
    for row in rows:
        twin = best.get((row.get("model"), row.get("how")))
        if twin and "rows_per_s" in row:
            row["speed_up"] = row["rows_per_s"] / twin


def _best(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    best: dict[Any, dict[str, Any]] = {}
    for row in rows:
        key = row.get("model"), row.get("how"), row.get("point")
        if row.get("rows_per_s", 0) >= best.get(key, {}).get("rows_per_s", 0):
            best[key] = row
    names = ("model", "how", "point", "batch", "rows_per_s", "speed_up", "gib")
    return [{name: row.get(name, "") for name in names} for row in best.values()]


def _text(args: Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    points = args.points
    dtype = getattr(torch, args.dtype)
    for name in args.sizes:
        model = _mux_encoder(name, points, args.length).to(device, dtype)
        for point in points:
            forward = _Forward(model, point)
            for how, run in _ways(forward, args, device):
                for batch in args.batch_rows:
                    if how == "compiled" and batch != args.compile:
                        continue
                    ids = torch.randint(1000, 30000, (batch, args.length), device=device)
                    result = _measure(run, (ids,), batch, args.budget, device)
                    head = {"model": name, "how": how, "point": f"{point.n_mux},{point.patch_size}"}
                    yield {**head, "batch": batch, "twin": point.factor == 1, **result}
                    del ids
        del model


class _Forward(nn.Module):
    """Rows to vectors at one operating point."""

    def __init__(self, model: MuxSequenceEmbedder, point: Point) -> None:
        super().__init__()
        self.model, self.point = model, point

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids, n_mux=self.point.n_mux, patch_size=self.point.patch_size)


def _mux_encoder(name: str, points: Iterable[Point], length: int) -> MuxSequenceEmbedder:
    layers, width, heads = _SIZES[name]
    encoder = CompactEncoder(
        30_522, width, layers, heads, 4 * width, length, dropout=0.0, norm_first=False
    )
    n_mux = max(point.n_mux for point in points)
    model = MuxSequenceEmbedder(
        encoder,
        NestedMultiplexer(n_mux, width),
        NestedDemultiplexer(n_mux, width),
        width,
        lexical_path=False,
        patch_sizes=sorted({1, *(point.patch_size for point in points)}),
    )
    return model.eval().requires_grad_(False)


def _ways(
    forward: nn.Module, args: Namespace, device: torch.device
) -> Iterator[tuple[str, Callable[..., Tensor]]]:
    yield "eager", forward
    if device.type == "cuda":
        yield "graph", _Graph(forward)
    if args.compile:
        yield "compiled", torch.compile(forward, dynamic=False)


class _Graph:
    """A forward pass that is captured once for each batch size and replayed."""

    def __init__(self, forward: nn.Module) -> None:
        self.forward = forward
        self.captured: tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None = None

    def __call__(self, ids: Tensor) -> Tensor:
        if self.captured is None or self.captured[1].shape != ids.shape:
            self.captured = None
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.forward(ids)
            torch.cuda.current_stream().wait_stream(stream)
            graph, given = torch.cuda.CUDAGraph(), ids.clone()
            with torch.cuda.graph(graph):
                answer = self.forward(given)
            self.captured = graph, given, answer
        graph, given, answer = self.captured
        given.copy_(ids)
        graph.replay()
        return answer


@torch.inference_mode()
def _measure(
    run: Callable[..., Any], inputs: tuple[Any, ...], n_rows: int, budget: float, device: Any
) -> dict[str, Any]:
    """Return rows a second, the median of several rounds, and the peak of memory."""
    cuda = device.type == "cuda"
    try:
        if cuda:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        for _ in range(2):
            run(*inputs)
        once = _seconds(run, inputs, 1, cuda)
        n_runs = max(1, int(budget / 5 / max(once, 1e-6)))
        seconds = [_seconds(run, inputs, n_runs, cuda) / n_runs for _ in range(5)]
    except torch.OutOfMemoryError:
        return {"error": "out of memory"}
    result = {"rows_per_s": n_rows / statistics.median(seconds)}
    result["spread"] = max(seconds) / min(seconds)
    if cuda:
        result["gib"] = torch.cuda.max_memory_allocated() / 2**30
    return result


def _seconds(run: Callable[..., Any], inputs: tuple[Any, ...], n_runs: int, cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(n_runs):
        run(*inputs)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _strings(args: Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """From strings to vectors, tokenized by one process and by several."""
    longest = max(args.length // 2 + 1, args.length * 3 // 4)
    texts = synthetic_texts(args.n_texts, (args.length // 2, longest))
    parts = [texts[start : start + 4096] for start in range(0, len(texts), 4096)]
    dtype, name = getattr(torch, args.dtype), args.sizes[0]
    points = [Point(1, 1), Point(1, 5), Point(2, 5)]
    model = _mux_encoder(name, points, args.length).to(device, dtype)
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.workers, _start_worker, (args.length,)) as pool:
        pool.map(_tokenize, parts[: args.workers])
        for how in ("one process", f"{args.workers} processes"):
            several = how != "one process"
            _start_worker(args.length)
            given = parts if several else parts[:4]
            n_texts = sum(map(len, given))
            began = time.perf_counter()
            for _ in pool.imap(_tokenize, given) if several else map(_tokenize, given):
                pass
            rate = n_texts / (time.perf_counter() - began)
            yield {"model": "tokenizing alone", "how": how, "rows_per_s": rate}
            for point in points:
                forward = _Forward(model, point)
                _vectors(forward, [_tokenize(parts[0])], device)
                began = time.perf_counter()
                tables = pool.imap(_tokenize, given) if several else map(_tokenize, given)
                _vectors(forward, tables, device)
                rate = n_texts / (time.perf_counter() - began)
                head = {"model": name, "how": how, "point": f"{point.n_mux},{point.patch_size}"}
                yield {**head, "rows_per_s": rate, "twin": point.factor == 1}


_tokenizer: Any = None


def _start_worker(length: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer

    global _tokenizer
    *_, files = read_box()
    _tokenizer = Tokenizer.from_str(files[TOKENIZER])
    _tokenizer.enable_truncation(length)
    _tokenizer.enable_padding(length=length)


def _tokenize(texts: list[str]) -> Any:
    return np.array([e.ids for e in _tokenizer.encode_batch_fast(texts)], dtype=np.int32)


@torch.inference_mode()
def _vectors(forward: nn.Module, tables: Iterable[Any], device: torch.device) -> None:
    answers = [
        forward(torch.from_numpy(table).to(device, non_blocking=True).long()) for table in tables
    ]
    torch.cat(answers).float().cpu()


def _image(args: Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    dtype = getattr(torch, args.dtype)
    depth, width = args.image_sizes
    for binding, n_mux in (("identity", 1), ("hrr", 1), ("hrr", 2), ("hrr", 4), ("mbat", 4)):
        model = MuxWideResNet(10, n_mux, depth=depth, width=width, binding=binding)
        model = model.to(device).for_inference(dtype).to(memory_format=torch.channels_last)
        for batch in args.image_batches:
            images = torch.randn(batch, 3, 32, 32, device=device, dtype=dtype)
            images = images.to(memory_format=torch.channels_last)
            result = _measure(model, (images,), batch, args.budget, device)
            head = {"model": f"WRN-{depth}-{width}", "how": "eager", "point": f"{binding} {n_mux}"}
            yield {**head, "batch": batch, "twin": binding == "identity", **result}


def _mimoformer(args: Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    n_rows, length = args.long
    sizes = Namespace(width=64, heads=4, head_dim=64, features=256, mlp=128)
    for variant, side in (("performer", 1), *((v, m) for m in (2, 4) for v in ("att", "att+mlp"))):
        layer = mimoformer.build(sizes, variant, side).to(device)
        x, mask = torch.randn(n_rows, length, 64, device=device), torch.ones(n_rows, length)
        result = _measure(layer, (x, mask.to(device), (side, side)), n_rows, args.budget, device)
        head = {"model": f"layer, {length} tokens", "how": "float32", "point": f"{variant} {side}"}
        yield {**head, "batch": n_rows, "twin": variant == "performer", **result}
