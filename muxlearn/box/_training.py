"""Train the packaged encoder to say at every operating point what its teacher says."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from muxlearn.box._batches import Batch, BatchSampler
from muxlearn.box._teacher import compress, encoder_arguments
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.mux_encoder import MuxEncoder
from muxlearn.nn.patches import Point

__all__ = ["POINTS", "Recipe", "Student", "train", "write_parts"]

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
        Tokens of a batch that are unfolded at each point.
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
    token_samples: int = 16_384
    checkpoint_seconds: float = 60.0
    seed: int = 0


class Student(nn.Module):
    """A `MuxEncoder` and the losses that train it.

    Parameters
    ----------
    model : MuxEncoder
    points : sequence of Point
    """

    def __init__(self, model: MuxEncoder, points: Sequence[Point]) -> None:
        super().__init__()
        self.model = model
        #: How much of the words' answer is added to that of the encoder.
        self.word_shares = nn.ParameterDict(
            {
                f"{p.n_mux}x{p.patch_size}": nn.Parameter(torch.full((), 0.3))
                for p in points
                if p.factor > 1
            }
        )

    def forward(
        self,
        batch: Batch,
        rows: Tensor,
        tokens: Tensor,
        points: Sequence[Point],
        samples: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compare with the teacher.

        Parameters
        ----------
        batch : Batch
        rows : Tensor of shape (n_rows, width)
            The teacher's answers.
        tokens : Tensor of shape (n_rows, length, width)
            The teacher's last hidden states.
        points : sequence of Point
        samples : (Tensor, Tensor)
            Rows and places of the tokens that are compared.

        Returns
        -------
        loss : Tensor
        measures : dict of str to Tensor
            The cosines of rows, and the squared errors of tokens relative to their squares.
        """
        model, ids = self.model, batch.ids
        length = ids.shape[1]
        second = torch.arange(length, device=ids.device) >= batch.cut
        vectors = model.embed(ids, second if batch.cut < length else None)
        words = model.read_words(ids, torch.ones_like(ids, dtype=torch.bool))
        of_words = _cosine(words, rows)
        loss, measures = 2 * (1 - of_words), {"words": of_words}
        for point in points:
            n_rows = len(ids) - len(ids) % point.n_mux
            if not n_rows:
                continue
            name = f"{point.n_mux}x{point.patch_size}"
            laid, mask, place = lay_out(vectors[:n_rows], batch.cut, point.patch_size)
            encoded = model.encode(laid, mask.expand(n_rows, -1), point, dense=True)
            read = model.read_rows(encoded)
            target = rows[:n_rows]
            of_rows = _cosine(read, target)
            of_point = 2 * (1 - of_rows)
            answer = read
            if point.factor > 1:
                answer = read + self.word_shares[name].to(read.dtype) * words[:n_rows]
                of_answer = _cosine(answer, target)
                of_point = of_point + 2 * (1 - of_answer)
                measures[f"{name} with words"] = of_answer
            of_point = of_point + 0.3 * _contrast(answer, target)
            in_rows, at = samples
            kept = in_rows < n_rows if n_rows < len(ids) else slice(None)
            in_rows, at = in_rows[kept], at[kept]
            unfolded = model.read_tokens(encoded, laid, in_rows, place[at])
            wanted = tokens[in_rows, at].float()
            error = (unfolded.float() - wanted).square().sum(1) / wanted.square().sum(1)
            of_point = of_point + error.mean()
            loss = loss + (1.0 if point.n_mux == 1 else _ROWS_WEIGHT) * of_point
            measures[name], measures[f"{name} tokens"] = of_rows, error.mean()
        return loss, {name: value.detach() for name, value in measures.items()}


def lay_out(vectors: Tensor, cut: int, patch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Let the second text of rows begin a patch of its own.

    Parameters
    ----------
    vectors : Tensor of shape (n_rows, length, width)
    cut : int
    patch_size : int

    Returns
    -------
    vectors : Tensor of shape (n_rows, new_length, width)
    mask : Tensor of bool, shape (new_length,)
    place : Tensor of int, shape (length,)
        Where each token went.
    """
    length = vectors.shape[1]
    gap = -cut % patch_size if cut < length else 0
    place = torch.arange(length, device=vectors.device)
    if not gap:
        return vectors, torch.ones_like(place, dtype=torch.bool), place
    first, second = vectors[:, :cut], vectors[:, cut:]
    vectors = torch.cat([F.pad(first, (0, 0, 0, gap)), second], 1)
    mask = torch.ones(length + gap, dtype=torch.bool, device=vectors.device)
    mask[cut : cut + gap] = False
    return vectors, mask, place + gap * (place >= cut)


def _cosine(answers: Tensor, targets: Tensor) -> Tensor:
    return F.cosine_similarity(answers.float(), targets.float(), dim=-1).mean()


def _contrast(answers: Tensor, targets: Tensor, most: int = 1024) -> Tensor:
    """Tell each row's answer from those of others (temperature 1/20)."""
    a, b = (F.normalize(x[:most].float(), dim=-1) for x in (answers, targets))
    return F.cross_entropy(20 * a @ b.T, torch.arange(len(a), device=a.device))


def train(
    teacher: CompactEncoder,
    second_text: Tensor,
    sampler: BatchSampler,
    held_out: BatchSampler,
    folder: Path,
    recipe: Recipe,
    *,
    device: torch.device,
    dtype: torch.dtype,
    log: Callable[[str], None] = print,
) -> Student:
    """Train, and leave a checkpoint every minute.

    Parameters
    ----------
    teacher : CompactEncoder
    second_text : Tensor of shape (width,)
        As of `read_bert`.
    sampler, held_out : BatchSampler
        Texts to train with, and texts to judge by.
    folder : Path
        Gets the parts of the last checkpoint, and ``log.jsonl``.
    recipe : Recipe
    device : torch.device
    dtype : torch.dtype
        What the passes compute in; weights and optimizer are float32.
    log : callable, default=print
        Takes lines about the progress.

    Returns
    -------
    Student
    """
    torch.manual_seed(recipe.seed)
    student = make_student(teacher, second_text, recipe).to(device).train()
    teacher = teacher.to(device, dtype).eval().requires_grad_(False)
    second_text = second_text.to(device, dtype)
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
        rows, tokens = _ask(teacher, second_text, batch)
        draws = torch.rand(len(recipe.points), generator=generator).tolist()
        shares = zip(recipe.points.items(), draws, strict=True)
        points = [point for (point, share), drawn in shares if drawn < share]
        loss, measures = _compare(student, batch, rows, tokens, points, recipe, dtype)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        step, n_rows, n_tokens = step + 1, n_rows + len(rows), n_tokens + batch.ids.numel()
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
            write_parts(student, folder, recipe, step)
            saved = time.monotonic()
    write_parts(student, folder, recipe, step)
    scores = evaluate(student, teacher, second_text, held_out, recipe, dtype)
    _append(folder, {"step": step, "rows": n_rows, "tokens": n_tokens, "held_out": scores}, log)
    return student


def make_student(teacher: CompactEncoder, second_text: Tensor, recipe: Recipe) -> Student:
    """Start a student from its teacher's own layers."""
    points = list(recipe.points)
    model = MuxEncoder(
        copy.deepcopy(teacher),
        max(point.n_mux for point in points),
        {point.patch_size for point in points},
    )
    with torch.no_grad():
        model.second_text.copy_(second_text)
        model.lexical_mean.norm.load_state_dict(teacher.embedding_norm.state_dict())
        nn.init.eye_(model.lexical_mean.out.weight)
    return Student(model, points)


def _groups(student: Student, recipe: Recipe) -> list[dict[str, Any]]:
    table, new, layers = [], [], []
    for name, parameter in student.named_parameters():
        if name.endswith("encoder.embedding.weight"):
            table.append(parameter)
        elif name.startswith("model.encoder.") or name.endswith("second_text"):
            layers.append(parameter)
        else:
            new.append(parameter)
    return [
        {"params": layers, "lr": recipe.lr},
        {"params": new, "lr": recipe.new_lr},
        {"params": table, "lr": recipe.table_lr, "weight_decay": 0.0},
    ]


@torch.no_grad()
def _ask(teacher: CompactEncoder, second_text: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the teacher's answers for rows and tokens."""
    vectors = teacher.embedding(batch.ids)
    if batch.cut < batch.ids.shape[1]:
        second = torch.arange(batch.ids.shape[1], device=vectors.device) >= batch.cut
        vectors = vectors + second[:, None] * second_text
    tokens = teacher(vectors, None)
    return tokens.float().mean(1), tokens


def _compare(
    student: Student,
    batch: Batch,
    rows: Tensor,
    tokens: Tensor,
    points: Sequence[Point],
    recipe: Recipe,
    dtype: torch.dtype,
) -> tuple[Tensor, dict[str, Tensor]]:
    n = min(recipe.token_samples, batch.ids.numel())
    drawn = torch.randint(batch.ids.numel(), (n,), device=rows.device)
    length = batch.ids.shape[1]
    samples = drawn // length, drawn % length
    # One cast a step serves all operating points.
    weights = {name: p.to(dtype) for name, p in student.named_parameters()}
    return functional_call(student, weights, (batch, rows, tokens, points, samples))


@torch.no_grad()
def evaluate(
    student: Student,
    teacher: CompactEncoder,
    second_text: Tensor,
    sampler: BatchSampler,
    recipe: Recipe,
    dtype: torch.dtype,
    n_batches: int = 30,
) -> dict[str, float]:
    """Return the mean measures over some batches, for all operating points."""
    sums: dict[str, list[float]] = {}
    for _ in range(n_batches):
        batch = sampler.draw()
        rows, tokens = _ask(teacher, second_text, batch)
        _, measures = _compare(student, batch, rows, tokens, list(recipe.points), recipe, dtype)
        for name, value in measures.items():
            sums.setdefault(name, []).append(value.item())
    return {name: round(math.fsum(values) / len(values), 4) for name, values in sums.items()}


def write_parts(
    student: Student, folder: Path, recipe: Recipe, step: int, most_bytes: int = 15_000_000
) -> None:
    """Write a checkpoint in files of a limited size; joined in order, they are one.

    Parameters
    ----------
    student : Student
    folder : Path
    recipe : Recipe
    step : int
    most_bytes : int, default=15,000,000
        Size of a part.
    """
    encoder = student.model.encoder
    metadata = {
        "step": str(step),
        "points": json.dumps(list(recipe.points)),
        "sizes": json.dumps(encoder_arguments(encoder)),
    }
    content = save(compress(student.state_dict()), metadata=metadata)
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(content), most_bytes)):
        part = folder / f"encoder.safetensors.{number:02d}"
        temporary = part.with_suffix(".tmp")
        temporary.write_bytes(content[start : start + most_bytes])
        temporary.replace(part)


def _append(folder: Path, line: dict[str, Any], log: Callable[[str], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(line)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    log(text)
