"""Speed of a MIMOFormer layer over the Performer's, at the sizes of MIMONets' Long Range Arena.

The whole layer, attention and feed-forward network, as it predicts. The Performer is the same
class on a grid of one row, with every trick of the others.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from functools import partial

import torch
from torch import Tensor

from muxlearn.benchmark._arguments import positive
from muxlearn.benchmark._report import median_ratio, paired_seconds, report
from muxlearn.nn.favor import GridAttention
from muxlearn.nn.mimoformer_layers import MIMOFormerLayer

_VARIANTS = ("att", "att+mlp")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--sides", type=positive, nargs="+", default=[2, 4], help="of square grids")
    add("--length", type=positive, default=1024)
    add("--shortest", type=positive, help="draw lengths from here on")
    add("--width", type=positive, default=64)
    add("--mlp", type=positive, default=128)
    add("--heads", type=positive, default=4)
    add("--head-dim", type=positive, default=64)
    add("--features", type=positive, default=256)
    add("--rows", type=positive, default=16, help="a multiple of all grids' sizes")
    add("--repeats", type=positive, default=15)


def main(args: Namespace) -> int:
    """Run the benchmark."""
    grids = [("performer", 1), *((variant, m) for m in args.sides for variant in _VARIANTS)]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(args.rows, args.length, args.width, generator=generator)
    shortest = args.shortest or args.length
    if shortest > args.length:
        raise ValueError(f"--shortest {shortest} is longer than --length {args.length}")
    if uneven := [side for side in args.sides if args.rows % side**2]:
        raise ValueError(f"--rows {args.rows} is no multiple of {uneven[0] ** 2}, a grid's size")
    lengths = torch.randint(shortest, args.length + 1, (args.rows, 1), generator=generator)
    mask = (torch.arange(args.length) < lengths).float()
    runs = {name: partial(_run, build(args, *name), x, mask, (name[1], name[1])) for name in grids}
    seconds = paired_seconds(runs, args.repeats)
    twin = seconds[grids[0]]
    rows = []
    for name in grids:
        ratios = [t / s for t, s in zip(twin, seconds[name], strict=True)]
        rows.append(
            {
                "variant": name[0],
                "grid": f"{name[1]}x{name[1]}",
                "rows_per_s": args.rows / statistics.median(seconds[name]),
                "speed_up": median_ratio(twin, seconds[name]),
                "lowest": min(ratios),
                "highest": max(ratios),
            }
        )
    sizes = f"width {args.width}, {args.heads} heads of {args.head_dim}, {args.features} features"
    report(f"one layer, {shortest} to {args.length} tokens, {sizes}", rows, args)
    return 0


def build(args: Namespace, variant: str, side: int) -> MIMOFormerLayer:
    """Build one layer, ready to predict."""
    grid, merge = (side, side), variant == "att+mlp"
    attention = GridAttention(
        args.width, args.heads, args.head_dim, grid, args.features, merge=merge
    )
    layer = MIMOFormerLayer(args.width, attention, args.mlp, grid if merge else None)
    attention.fold()
    return layer.eval().requires_grad_(False)


@torch.inference_mode()
def _run(layer: MIMOFormerLayer, x: Tensor, mask: Tensor, grid: tuple[int, int]) -> None:
    layer(x, mask, grid)
