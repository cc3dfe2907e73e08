"""Train the packaged encoder to say at every operating point what its teacher says."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from muxlearn.box._batches import Batch, BatchSampler
from muxlearn.box._student import make_student, write_parts
from muxlearn.nn.embedding import EmbeddingParts, EmbeddingTrainingOutput, MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.losses import contrastive_logits, cosine_loss
from muxlearn.points import WORDS, Point

__all__ = ["POINTS", "Recipe", "compare", "lay_out", "train"]

#: The operating points, and the share of the steps that train each. Tokens come first; the cheap
#: points can be trained at every step.
POINTS: dict[Point, float] = {
    Point(1, 1): 0.3,
    Point(1, 2): 0.7,
    Point(1, 3): 0.4,
    Point(1, 5): 1.0,
    Point(2, 5): 0.75,
    Point(1, 10): 0.5,
    Point(1, 20): 0.25,
    Point(2, 1): 0.2,
    Point(2, 2): 0.2,
    Point(5, 1): 0.2,
    Point(10, 1): 0.25,
    Point(20, 1): 0.15,
    Point(2, 10): 0.25,
    Point(4, 5): 0.25,
}
_ROWS_WEIGHT = 0.5
#: Rows of a batch that are told from each other.
_MOST_CONTRASTED = 1024


@dataclass
class Recipe:
    """Length and speed of a training.

    Attributes
    ----------
    minutes : float
        The schedule is one of time: on whatever machine, it ends when the time is over.
    batch_tokens : int
    lr : float
        The peak learning rate of the layers.
    new_lr : float
        That of the maps and the demultiplexer, which the teacher has not got.
    table_lr : float
        That of the token table.
    points : dict of Point to float
    token_samples : int
        Tokens of a row that are unfolded at each point.
    checkpoint_seconds : float
        Time between two checkpoints.
    seed : int
    """

    minutes: float = 7.0
    batch_tokens: int = 65_536
    lr: float = 3e-4
    new_lr: float = 1e-3
    table_lr: float = 2e-4
    points: dict[Point, float] = field(default_factory=lambda: dict(POINTS))
    token_samples: int = 8
    checkpoint_seconds: float = 60.0
    seed: int = 0


def lay_out(ids: Tensor, cut: int, patch_size: int) -> tuple[Tensor, Tensor | None, int]:
    """Let the second text of rows begin a patch of its own.

    Parameters
    ----------
    ids : Tensor of int, shape (n_rows, length)
    cut : int
    patch_size : int

    Returns
    -------
    ids : Tensor of int, shape (n_rows, length + gap)
    mask : Tensor of bool of the same shape, or None
        False in the gap; None if there is none.
    gap : int
        Places of padding between the two texts.
    """
    length = ids.shape[1]
    gap = -cut % patch_size if cut < length else 0
    if not gap:
        return ids, None, 0
    ids = torch.cat([F.pad(ids[:, :cut], (0, gap)), ids[:, cut:]], 1)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[:, cut : cut + gap] = False
    return ids, mask, gap


class Wanted(NamedTuple):
    """The teacher's answers to a batch.

    Attributes
    ----------
    rows : Tensor of shape (n_rows, width)
    tokens : Tensor of shape (n_rows, length, width)
        The last hidden states.
    """

    rows: Tensor
    tokens: Tensor


def compare(
    student: Callable[..., EmbeddingTrainingOutput],
    batch: Batch,
    wanted: Wanted,
    points: Sequence[Point],
    token_samples: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compare a student with its teacher.

    Parameters
    ----------
    student : callable
        Runs a `MuxSequenceEmbedder` in parts.
    batch : Batch
    wanted : Wanted
    points : sequence of Point
        The words alone are always compared.
    token_samples : int
        Tokens of a row that are compared.

    Returns
    -------
    loss : Tensor
    measures : dict of str to Tensor
        The cosines of rows, and the squared errors of tokens relative to their squares.
    """
    of_words = cosine_loss(student(batch.ids, patch_size=WORDS.patch_size).rows, wanted.rows)
    loss, measures = 2 * of_words, {"words": 1 - of_words}
    for point in points:
        n_rows = len(batch.ids) - len(batch.ids) % point.n_mux
        if not n_rows:
            continue
        ids, mask, gap = lay_out(batch.ids[:n_rows], batch.cut, point.patch_size)
        output = student(ids, mask, *point, token_samples=token_samples * point.n_mux)
        assert output.tokens is not None
        targets = wanted.rows[:n_rows]
        of_rows, of_mixed = (cosine_loss(r, targets) for r in (output.rows, output.mixed_rows))
        logits = contrastive_logits(output.rows[:_MOST_CONTRASTED], targets[:_MOST_CONTRASTED])
        contrast = F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
        unfolded, positions = output.tokens
        positions = positions - gap * (positions >= batch.cut + gap)
        numbers = torch.arange(n_rows, device=ids.device).view(-1, point.n_mux, 1)
        tokens = wanted.tokens[numbers, positions].float()
        error = (unfolded.float() - tokens).square().sum(-1) / tokens.square().sum(-1)
        of_point = 2 * of_rows + error.mean() + 0.3 * contrast
        name = f"{point.n_mux}x{point.patch_size}"
        if point.factor > 1:
            of_point = of_point + 2 * of_mixed
            measures[f"{name} with words"] = 1 - of_rows
        measures[name], measures[f"{name} tokens"] = 1 - of_mixed, error.mean()
        loss = loss + (1.0 if point.n_mux == 1 else _ROWS_WEIGHT) * of_point
    return loss, {name: value.detach() for name, value in measures.items()}


def train(
    teacher: CompactEncoder,
    sampler: BatchSampler,
    held_out: BatchSampler,
    folder: Path,
    recipe: Recipe,
    *,
    device: torch.device,
    dtype: torch.dtype,
    start: MuxSequenceEmbedder | None = None,
    log: Callable[[str], None] = print,
) -> MuxSequenceEmbedder:
    """Train, and leave a checkpoint every minute.

    Parameters
    ----------
    teacher : CompactEncoder
    sampler, held_out : BatchSampler
        Texts to train with, and texts to judge by.
    folder : Path
        Gets the parts of the last checkpoint, and ``log.jsonl``.
    recipe : Recipe
    device : torch.device
    dtype : torch.dtype
        What the passes compute in; weights and optimizer are float32.
    start : MuxSequenceEmbedder, default=None
        What an earlier training has left; None starts from the teacher's own layers.
    log : callable, default=print
        Takes lines about the progress.

    Returns
    -------
    MuxSequenceEmbedder
    """
    torch.manual_seed(recipe.seed)
    student = (make_student(teacher, recipe.points) if start is None else start).to(device).train()
    teacher = teacher.to(device, dtype).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        _groups(student, recipe), betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda"
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    generator = torch.Generator().manual_seed(recipe.seed)
    began = saved = said = time.monotonic()
    total = 60 * recipe.minutes
    step = n_rows = n_tokens = 0
    sums: dict[str, list[Tensor]] = {}
    while (now := time.monotonic() - began) < total:
        factor = min(1.0, (step + 1) / 150, max(0.0, 1.02 - now / total) / 0.5)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        batch = sampler.draw()
        draws = torch.rand(len(recipe.points), generator=generator).tolist()
        shares = zip(recipe.points.items(), draws, strict=True)
        points = [point for (point, share), drawn in shares if drawn < share]
        run = _casting(student, dtype)
        loss, measures = compare(run, batch, _ask(teacher, batch), points, recipe.token_samples)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        step, n_rows = step + 1, n_rows + len(batch.ids)
        n_tokens += batch.ids.numel()
        for name, value in measures.items():
            sums.setdefault(name, []).append(value)
        if step % 20 == 0 and device.type == "cuda":
            torch.cuda.synchronize()
        if time.monotonic() - said > 15 or step == 20:
            means = {name: round(torch.stack(v).mean().item(), 4) for name, v in sums.items()}
            sums, said = {}, time.monotonic()
            line = {"step": step, "seconds": round(now, 1), "rows": n_rows, "tokens": n_tokens}
            _append(folder, {**line, **means}, log)
        if time.monotonic() - saved > recipe.checkpoint_seconds:
            write_parts(student, folder, recipe.points, step)
            saved = time.monotonic()
    write_parts(student, folder, recipe.points, step)
    scores = evaluate(student, teacher, held_out, recipe, dtype)
    _append(folder, {"step": step, "rows": n_rows, "tokens": n_tokens, "held_out": scores}, log)
    return student


def _groups(student: MuxSequenceEmbedder, recipe: Recipe) -> list[dict[str, Any]]:
    table, new, layers = [], [], []
    for name, parameter in student.named_parameters():
        if name == "encoder.embedding.weight":
            table.append(parameter)
        elif name.startswith(("encoder.", "head.", "token_head.")):
            layers.append(parameter)
        else:
            new.append(parameter)
    return [
        {"params": layers, "lr": recipe.lr},
        {"params": new, "lr": recipe.new_lr},
        {"params": table, "lr": recipe.table_lr, "weight_decay": 0.0},
    ]


@torch.no_grad()
def _ask(teacher: CompactEncoder, batch: Batch) -> Wanted:
    tokens = teacher(teacher.embedding(batch.ids), None)
    return Wanted(tokens.float().mean(1), tokens)


def _casting(
    student: MuxSequenceEmbedder, dtype: torch.dtype
) -> Callable[..., EmbeddingTrainingOutput]:
    """Return what runs a student in parts; one cast serves all operating points of a step."""
    weights = {name: p.to(dtype) for name, p in student.named_parameters()}

    def run(
        ids: Tensor,
        mask: Tensor | None = None,
        n_mux: int = 1,
        patch_size: int = 1,
        token_samples: int = 0,
    ) -> EmbeddingTrainingOutput:
        parts = EmbeddingParts(token_samples=token_samples)
        return functional_call(student, weights, (ids, mask, n_mux, patch_size, parts))

    return run


@torch.no_grad()
def evaluate(
    student: MuxSequenceEmbedder,
    teacher: CompactEncoder,
    sampler: BatchSampler,
    recipe: Recipe,
    dtype: torch.dtype,
    n_batches: int = 30,
) -> dict[str, float]:
    """Return the mean measures over some batches, for all operating points."""
    sums: dict[str, list[float]] = {}
    run, points = _casting(student, dtype), list(recipe.points)
    for _ in range(n_batches):
        batch = sampler.draw()
        wanted = _ask(teacher, batch)
        _, measures = compare(run, batch, wanted, points, recipe.token_samples)
        for name, value in measures.items():
            sums.setdefault(name, []).append(value.item())
    return {name: round(math.fsum(values) / len(values), 4) for name, values in sums.items()}


def _append(folder: Path, line: dict[str, Any], log: Callable[[str], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(line)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    log(text)
