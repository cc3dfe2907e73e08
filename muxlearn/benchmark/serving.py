"""Rows/s and latency of an HTTP endpoint that gathers concurrent requests into mixtures.

The server is `examples/serve_over_http.py`, in a process of its own; clients on loopback each wait
for their answer before they ask again. The models are untrained, which does not change their speed,
and all servers gather equally many requests for equally long. They take turns.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from muxlearn.benchmark import speed
from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._load import ask, serving
from muxlearn.benchmark._report import report, synthetic_texts
from muxlearn.points import as_points


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    speed.add_model_arguments(parser)
    parser.set_defaults(n_mux=[5, 10])
    add("--batch-size", type=positive, default=32, help="mixtures of a forward pass")
    add("--repeats", type=positive, default=3)
    add("--clients", type=positive, nargs="+", default=[64], help="requests at a time")
    add("--tenants", type=positive, default=1, help="whose texts are never mixed")
    add("--seconds", type=float, default=5.0, help="of a round")
    add("--batch-timeout", type=float, default=0.005, help="seconds of gathering")
    add("--max-batch-size", type=positive, default=128, help="requests gathered")


def main(args: Namespace) -> int:
    """Run the benchmark."""
    texts = synthetic_texts(2000, (args.length, args.length))
    bodies = [{"text": text} for text in texts]
    tenants = [f"tenant {number}" for number in range(args.tenants)]
    tokens = list(islice(cycle(tenants), len(texts)))
    options = ["--batch-timeout", str(args.batch_timeout)]
    options += ["--max-batch-size", str(args.max_batch_size)]
    rounds: dict[tuple[int, int | str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = {}
        file = Path(folder, "tokens.json")
        file.write_text(json.dumps(dict(zip(tenants, tenants, strict=True))))
        options += ["--tokens", str(file)]
        for point in as_points([1, *args.n_mux]):
            model = Path(folder, str(point))
            speed.build(args, point, texts).set_params(batch_size=args.batch_size).save(model)
            log = Path(folder, f"{point}.log")
            ports[speed.shown(point)] = stack.enter_context(serving([str(model), *options], log))
        for clients in args.clients:
            for port in ports.values():
                ask(port, bodies[: 2 * clients], clients, tokens=tokens[: 2 * clients])
            for _ in range(args.repeats):
                for n_mux, port in ports.items():
                    measured = _measure(port, bodies, tokens, clients, args.seconds)
                    rounds.setdefault((clients, n_mux), []).append(measured)
    report(
        f"HTTP requests of {args.length} tokens, {args.layers} layers x {args.width}, "
        f"{args.tenants} tenant(s), gathered for {1000 * args.batch_timeout:g} ms",
        _rows(rounds),
        args,
    )
    return 0


def _measure(
    port: int, bodies: list[dict[str, Any]], tokens: list[str], clients: int, seconds: float
) -> dict[str, float]:
    answers = ask(port, bodies, clients, seconds, tokens)
    failed = [answer for answer in answers if answer.status != 200]
    if failed:
        raise RuntimeError(f"the server answered {failed[0].status}: {failed[0].content}")
    latencies = np.array([answer.seconds for answer in answers])
    # Each client waits for its answers all the time.
    measured = {"rows_per_s": clients * len(answers) / latencies.sum()}
    for percent in (50, 95, 99):
        measured[f"p{percent}_ms"] = 1000 * float(np.percentile(latencies, percent))
    return measured


def _rows(rounds: dict[tuple[int, int | str], list[dict[str, float]]]) -> list[dict[str, Any]]:
    rows = []
    for (clients, n_mux), measured in rounds.items():
        twin = rounds[clients, 1]
        ratios = [
            ours["rows_per_s"] / theirs["rows_per_s"]
            for ours, theirs in zip(measured, twin, strict=True)
        ]
        medians = {name: statistics.median(m[name] for m in measured) for name in measured[0]}
        row = {"clients": clients, "n_mux": n_mux, "rows_per_s": medians.pop("rows_per_s")}
        rows.append({**row, "speed_up": statistics.median(ratios), **medians})
    return rows
