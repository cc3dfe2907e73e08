"""Distillation: a network learns to say of rows in a mixture what a teacher says of each alone."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from muxlearn._params import Constraint, Integer, Number, ParameterObject
from muxlearn.nn.embedding import EmbeddingParts, EmbeddingTrainingOutput
from muxlearn.nn.losses import contrastive_logits, cosine_loss, retrieval_loss
from muxlearn.tasks import VectorsTask
from muxlearn.training.objectives import Objective
from muxlearn.training.teacher import TeacherAnswers, as_float

__all__ = ["Distillation", "DistillationObjective"]


class Distillation(ParameterObject):
    """The weights of the losses that a warm-up by distillation minimises.

    The losses are one minus the cosine to the teacher's vector, for each text and for each token.
    A third loss is the choice of a text's own vector among all vectors of the batch.

    Parameters
    ----------
    contrast_weight : float, default=0.3
        Weight of choosing a text's own vector among all of the batch, beside that of the cosine.

    mixed_weight : float, default=0.5
        Weight of the cosine without the lexical path. It makes the encoder learn the meaning of
        the words as well.

    token_weight : float, default=1.0
        Weight of the tokens' cosine.

    token_samples : int, default=32
        Tokens of each mixture that the loss uses in a step, at least one per text.

    retrieval_weight : float, default=0.0
        Weight of recovering the tokens of single texts from the mixture (DataMUX, eq. 3); 0.1
        with ``objective="both"``.
    """

    name: ClassVar[str] = "distillation"
    constraints: ClassVar[dict[str, Constraint]] = {
        "contrast_weight": Number(0),
        "mixed_weight": Number(0),
        "token_weight": Number(0),
        "token_samples": Integer(1),
        "retrieval_weight": Number(0),
    }

    def __init__(
        self,
        *,
        contrast_weight: float = 0.3,
        mixed_weight: float = 0.5,
        token_weight: float = 1.0,
        token_samples: int = 32,
        retrieval_weight: float = 0.0,
    ) -> None:
        self.contrast_weight = contrast_weight
        self.mixed_weight = mixed_weight
        self.token_weight = token_weight
        self.token_samples = token_samples
        self.retrieval_weight = retrieval_weight


class DistillationObjective(Objective):
    """Trains a `MuxSequenceEmbedder` on unlabelled rows; targets are the rows' numbers.

    Parameters
    ----------
    weights : Distillation
    answers : TeacherAnswers or None
        None: there is no teacher, only the retrieval task.
    retrieval_samples : int
        Tokens of each mixture that the retrieval task looks at.
    with_words : bool, default=False
        Whether the words alone learn from the teacher as well, at every step.
    """

    scores = ("cosine", "mixed_cosine", "token_cosine", "chosen_acc", "retrieval_acc")

    def __init__(
        self,
        weights: Distillation,
        answers: TeacherAnswers | None,
        retrieval_samples: int,
        with_words: bool = False,
    ) -> None:
        super().__init__(VectorsTask())
        self.weights = weights
        self.teacher = answers
        self.retrieval_samples = retrieval_samples
        self.with_words = with_words

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run a module in parts."""
        taught = self.teacher is not None
        parts = EmbeddingParts(
            token_samples=self.weights.token_samples if taught and self.weights.token_weight else 0,
            retrieval_samples=self.retrieval_samples if self.weights.retrieval_weight else 0,
            words=self.with_words and taught,
        )
        return module(**inputs, n_mux=n_mux, parts=parts)

    def answers(self, output: Any) -> Tensor:
        """Return the vectors of the rows."""
        return output.rows if isinstance(output, EmbeddingTrainingOutput) else output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the losses up."""
        assert isinstance(output, EmbeddingTrainingOutput)
        total = output.rows.new_zeros(())
        reported: dict[str, Any] = {}
        if self.teacher is not None:
            loss, reported = self._distillation_loss(output, targets.cpu().numpy())
            total = total + loss
        if output.retrieval is not None:
            logits, tokens = output.retrieval
            reported["retrieval_acc"] = (logits.argmax(-1) == tokens).float().mean()
            total = total + self.weights.retrieval_weight * retrieval_loss(logits, tokens)
        return total, reported

    def _distillation_loss(
        self, output: EmbeddingTrainingOutput, rows: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss of rows and tokens; `rows` are the numbers of the rows."""
        assert self.teacher is not None
        place = output.rows.device
        targets = as_float(self.teacher.rows[rows]).to(place)
        loss = cosine_loss(output.rows, targets)
        mixed_loss = cosine_loss(output.mixed_rows, targets)
        logits = contrastive_logits(output.rows, targets)
        own = torch.arange(len(logits), device=logits.device)
        reported = {
            "cosine": 1 - loss.detach(),
            "mixed_cosine": 1 - mixed_loss.detach(),
            "chosen_acc": (logits.argmax(-1) == own).float().mean(),
        }
        total = 2 * (loss + self.weights.mixed_weight * mixed_loss)
        if output.words is not None:
            total = total + 2 * cosine_loss(output.words, targets)
        chosen = nn.functional.cross_entropy(logits, own)
        total = total + self.weights.contrast_weight * chosen
        if output.tokens is None or self.teacher.tokens is None:
            return total, reported
        vectors, positions = output.tokens
        n_mixtures, n_reads = positions.shape[:2]
        places = np.arange(n_reads) % (len(rows) // n_mixtures)
        starts = self.teacher.starts[rows.reshape(n_mixtures, -1)[:, places]]
        wanted = starts[..., None] + positions.cpu().numpy()
        token_loss = cosine_loss(vectors, as_float(self.teacher.tokens[wanted]).to(place))
        reported["token_cosine"] = 1 - token_loss.detach()
        return total + self.weights.token_weight * token_loss, reported

    def __getstate__(self) -> dict[str, Any]:
        # The answers are as large as the texts, and of no use to a trained model.
        return vars(self) | {"teacher": None}
