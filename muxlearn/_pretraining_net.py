"""The skorch net of a warm-up, and how a long one is taken up again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback, PassthroughScoring
from skorch.history import History
from torch import Tensor

from muxlearn._net import MixtureData, MuxNet, TrainingBatches
from muxlearn._teacher import TeacherAnswers, as_float
from muxlearn.nn.embedding import EmbeddingTrainingOutput
from muxlearn.nn.losses import contrastive_logits, cosine_loss, retrieval_loss

__all__ = ["Checkpoint", "PretrainingNet", "TrapezoidSchedule", "read_checkpoint"]

_CHECKPOINT = "checkpoint.pt"


class PretrainingNet(MuxNet):
    """Trains a `MuxSequenceEmbedder` on unlabelled rows; targets are the rows' numbers.

    Parameters
    ----------
    answers : TeacherAnswers or None
        None: there is no teacher, only the retrieval task.
    contrast_weight, mixed_weight, token_weight, retrieval_weight : float
        Weights of the losses beside that of the rows' cosine.
    token_samples, retrieval_samples : int
        Tokens of each mixture that their losses look at.
    first_step : int
        The step of the training to begin at.
    **kwargs
        For `MuxNet`.
    """

    def __init__(
        self,
        *args: Any,
        answers: TeacherAnswers | None = None,
        contrast_weight: float = 0.3,
        mixed_weight: float = 0.5,
        token_weight: float = 1.0,
        retrieval_weight: float = 0.0,
        token_samples: int = 32,
        retrieval_samples: int = 32,
        first_step: int = 0,
        **kwargs: Any,
    ) -> None:
        self.answers = answers
        self.contrast_weight = contrast_weight
        self.mixed_weight = mixed_weight
        self.token_weight = token_weight
        self.retrieval_weight = retrieval_weight
        self.token_samples = token_samples
        self.retrieval_samples = retrieval_samples
        self.first_step = first_step
        super().__init__(*args, **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        scores = ("cosine", "mixed_cosine", "token_cosine", "chosen_acc", "retrieval_acc")
        return [
            *super()._default_callbacks,
            *((s, PassthroughScoring(s, lower_is_better=False, on_train=True)) for s in scores),
        ]

    def get_iterator(self, dataset: MixtureData, training: bool = False) -> Any:
        """Form mixtures; those of a training step are the same however often it is interrupted."""
        if not training:
            return super().get_iterator(dataset, training)
        points, size = self.operating_points, self.batch_size
        return _ResumableBatches(dataset, points, size, self.seed, self.first_step)

    def _run(self, inputs: dict[str, Tensor], n_mux: int) -> Any:
        tokens = self.token_samples if self.answers is not None and self.token_weight else 0
        return self.module_(
            **inputs,
            n_mux=n_mux,
            in_parts=True,
            token_samples=tokens,
            retrieval_samples=self.retrieval_samples if self.retrieval_weight else 0,
        )

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Add the losses up, and keep what they say."""
        assert isinstance(y_pred, EmbeddingTrainingOutput)
        total = y_pred.rows.new_zeros(())
        if self.answers is not None:
            total = total + self._distillation_loss(y_pred, y_true[0].numpy())
        if y_pred.retrieval is not None:
            logits, targets = y_pred.retrieval
            self._record("retrieval_acc", (logits.argmax(-1) == targets).float().mean())
            total = total + self.retrieval_weight * retrieval_loss(logits, targets)
        return total

    def _distillation_loss(self, output: EmbeddingTrainingOutput, rows: Any) -> Tensor:
        """Return the loss of rows and tokens; `rows` are the numbers of the rows."""
        assert self.answers is not None
        targets = as_float(self.answers.rows[rows]).to(self._place)
        loss = cosine_loss(output.rows, targets)
        mixed_loss = cosine_loss(output.mixed_rows, targets)
        logits = contrastive_logits(output.rows, targets)
        own = torch.arange(len(logits), device=logits.device)
        self._record("cosine", 1 - loss)
        self._record("mixed_cosine", 1 - mixed_loss)
        self._record("chosen_acc", (logits.argmax(-1) == own).float().mean())
        total = 2 * (loss + self.mixed_weight * mixed_loss)
        total = total + self.contrast_weight * torch.nn.functional.cross_entropy(logits, own)
        if output.tokens is None or self.answers.tokens is None:
            return total
        vectors, positions = output.tokens
        n_mixtures, n_reads = positions.shape[:2]
        places = np.arange(n_reads) % (len(rows) // n_mixtures)
        starts = self.answers.starts[rows.reshape(n_mixtures, -1)[:, places]]
        wanted = starts[..., None] + positions.cpu().numpy()
        token_loss = cosine_loss(vectors, as_float(self.answers.tokens[wanted]).to(self._place))
        self._record("token_cosine", 1 - token_loss)
        return total + self.token_weight * token_loss

    def _record(self, name: str, value: Tensor) -> None:
        self.history.record_batch(name, value.item())

    def __getstate__(self) -> dict[str, Any]:
        # The answers are as large as the texts, and of no use to a trained model.
        return super().__getstate__() | {"answers": None}


class _ResumableBatches(TrainingBatches):
    """Batches of a training from any of its steps on."""

    def __init__(
        self, data: MixtureData, points: tuple[int, ...], batch_size: int, seed: int, first: int
    ) -> None:
        super().__init__(data, points, batch_size, seed)
        self.seed = seed
        self.epoch, self.n_skipped = divmod(first, -(-len(data) // batch_size))

    def _draw(self) -> list[NDArray[np.int64]]:
        self.rng = np.random.default_rng([self.seed, self.epoch])
        rows = super()._draw()[self.n_skipped :]
        self.epoch, self.n_skipped = self.epoch + 1, 0
        return rows


class TrapezoidSchedule:
    """A factor that rises from 0 to 1, stays there, and falls to 0 at the end.

    Such a training can be made longer after the fact: up to the fall, its steps do not depend on
    how many there are in all (Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond
    Fixed Training Durations", 2024).

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.
    first_step : int, default=0
        The step that the first call is about.
    n_rising : int, default=200
    falling : float, default=0.3
        Share of the steps over which the factor falls.
    """

    def __init__(
        self, n_steps: int, first_step: int = 0, n_rising: int = 200, falling: float = 0.3
    ) -> None:
        self.n_steps = n_steps
        self.first_step = first_step
        self.n_rising = n_rising
        self.n_falling = max(1, round(falling * n_steps))

    def __call__(self, step: int) -> float:
        step += self.first_step
        rising = (step + 1) / (self.n_rising + 1)
        falling = (self.n_steps - step) / self.n_falling
        return max(0.0, min(1.0, rising, falling))


class Checkpoint(Callback):
    """Keep the state of a training on disk, every few minutes and at its end.

    Parameters
    ----------
    folder : str or path
    minutes : float
    fingerprint : str
        Says which training this is.
    state : dict or None
        What `read_checkpoint` has found: the training goes on from there.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        minutes: float,
        fingerprint: str,
        state: dict[str, Any] | None,
    ) -> None:
        self.folder = folder
        self.minutes = minutes
        self.fingerprint = fingerprint
        self.state = state

    def on_train_begin(self, net: PretrainingNet, **kwargs: Any) -> None:
        """Restore the optimizer, and start the clock."""
        self.step_ = net.first_step
        if self.state is not None:
            net.optimizer_.load_state_dict(self.state["optimizer"])
            net.history = History(json.loads(self.state["history"]))
            torch.set_rng_state(self.state["rng_state"])
            self.state = None
        self.saved_ = time.monotonic()

    def on_batch_end(self, net: PretrainingNet, training: bool = False, **kwargs: Any) -> None:
        """Save when it is time."""
        self.step_ += training
        if time.monotonic() - self.saved_ > 60 * self.minutes:
            self._save(net)

    def on_train_end(self, net: PretrainingNet, **kwargs: Any) -> None:
        """Save the last state."""
        self._save(net)

    def _save(self, net: PretrainingNet) -> None:
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        epochs = [{**epoch, "batches": []} for epoch in net.history if "train_loss" in epoch]
        state = {
            "fingerprint": self.fingerprint,
            "step": self.step_,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": json.dumps(epochs, default=float),
            "rng_state": torch.get_rng_state(),
        }
        part = folder / f".{_CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(folder / _CHECKPOINT)
        self.saved_ = time.monotonic()


def read_checkpoint(folder: str | os.PathLike | None, fingerprint: str) -> dict[str, Any] | None:
    """Read what `Checkpoint` wrote, None where there is nothing.

    Parameters
    ----------
    folder : str or path or None
    fingerprint : str

    Returns
    -------
    dict or None

    Raises
    ------
    ValueError
        The checkpoint is of another training.
    """
    if folder is None or not (file := Path(folder) / _CHECKPOINT).exists():
        return None
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise ValueError(
            f"`checkpoint` {str(folder)!r} is of a training with other texts or parameters; give "
            "another folder, or delete it to begin anew"
        )
    return state
