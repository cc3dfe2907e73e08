"""Masked and replaced tokens: the second stage of MUX-PLMs' pre-training, on mixtures."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from muxlearn._params import Constraint, Number, ParameterObject
from muxlearn.nn.embedding import EmbeddingParts, EmbeddingTrainingOutput, MuxSequenceEmbedder
from muxlearn.nn.losses import retrieval_loss
from muxlearn.tasks import VectorsTask
from muxlearn.training.objectives import Objective

__all__ = ["CorruptionObjective", "MaskedTokens", "ReplacedTokens", "Vocabulary"]

#: Of the chosen tokens, those that become the mask and those that become another token (BERT).
_MASKED, _OTHER = 0.8, 0.1


class Vocabulary(NamedTuple):
    """The tokens that a corruption needs to know.

    Attributes
    ----------
    size : int
    special : tuple of int
        Tokens that are never chosen.
    mask : int or None
        The token that stands for one to be predicted.
    """

    size: int
    special: tuple[int, ...]
    mask: int | None


class _Corruption(ParameterObject):
    """Base class of `MaskedTokens` and `ReplacedTokens`."""

    name: ClassVar[str]
    constraints: ClassVar[dict[str, Constraint]] = {
        "share": Number(0, 1, open_low=True, open_high=True),
        "retrieval_weight": Number(0),
    }

    def __init__(self, *, share: float = 0.15, retrieval_weight: float = 0.1) -> None:
        self.share = share
        self.retrieval_weight = retrieval_weight


class MaskedTokens(_Corruption):
    """The masked-language-model task on mixtures (MUX-PLMs; ``objective="mlm"``).

    In every row of a mixture some tokens are chosen. Eight in ten of them are masked, one is
    replaced by any token and one stays. The network predicts what they were from the mixture.

    Parameters
    ----------
    share : float, default=0.15
        Share of the tokens that are chosen.

    retrieval_weight : float, default=0.1
        Weight of recovering the tokens of single rows as they were read (DataMUX, eq. 3).
    """

    name = "mlm"


class ReplacedTokens(_Corruption):
    """The replaced-token task on mixtures (MUX-ELECTRA; ``objective="rtd"``).

    In every row of a mixture some tokens are replaced by any token of the vocabulary. The network
    says of each token of each row whether it was replaced. There is no generator, as in the
    training that the authors of MUX-PLMs describe for MUX-ELECTRA.

    Parameters
    ----------
    share : float, default=0.15
        Share of the tokens that are replaced.

    retrieval_weight : float, default=0.1
        Weight of recovering the tokens of single rows as they were read (DataMUX, eq. 3).
    """

    name = "rtd"


class _Read(NamedTuple):
    """A module's output for some tokens, their targets, and which of them count."""

    output: EmbeddingTrainingOutput
    targets: Tensor
    counted: Tensor


class CorruptionObjective(Objective):
    """Trains a `MuxSequenceEmbedder` to tell what tokens were, or whether they were replaced.

    Parameters
    ----------
    corruption : MaskedTokens or ReplacedTokens
    vocabulary : Vocabulary or None
        None where nothing is trained.
    retrieval_samples : int
        Tokens of each mixture that the retrieval task looks at.
    """

    scores = ("mlm_acc", "rtd_acc", "retrieval_acc")

    def __init__(
        self,
        corruption: MaskedTokens | ReplacedTokens,
        vocabulary: Vocabulary | None,
        retrieval_samples: int,
    ) -> None:
        super().__init__(VectorsTask())
        self.corruption = corruption
        self.vocabulary = vocabulary
        self.retrieval_samples = retrieval_samples

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Corrupt rows and run a module on their mixtures; outside of training leave them whole."""
        if not module.training:
            return module(**inputs, n_mux=n_mux)
        ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
        chosen = self._choose(ids, mask)
        corrupted = self._corrupt(ids, chosen)
        if isinstance(self.corruption, MaskedTokens):
            # The chosen tokens of each row first, and as many others as the fullest row has.
            n_each = max(1, int(chosen.sum(1).max()))
            positions = chosen.int().argsort(dim=1, descending=True, stable=True)[:, :n_each]
            targets, counted = ids.gather(1, positions), chosen.gather(1, positions)
        else:
            positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
            targets, counted = chosen, mask & ~self._are_special(ids)
        parts = EmbeddingParts(
            retrieval_samples=self.retrieval_samples if self.corruption.retrieval_weight else 0,
            positions=positions.unflatten(0, (-1, n_mux)),
        )
        output = module(**{**inputs, "input_ids": corrupted}, n_mux=n_mux, parts=parts)
        # A row that fills several slots is read from each of them.
        n_reads = output.read.shape[1]
        of_read = torch.arange(n_reads, device=ids.device) % n_mux
        of_reads = (part.unflatten(0, (-1, n_mux))[:, of_read] for part in (targets, counted))
        return _Read(output, *of_reads)

    def _are_special(self, ids: Tensor) -> Tensor:
        assert self.vocabulary is not None
        return torch.isin(ids, torch.tensor(self.vocabulary.special, device=ids.device))

    def _choose(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Choose tokens of each row, at least one in all of them."""
        drawn = torch.rand(ids.shape, device=ids.device)
        drawn = drawn.masked_fill(~mask | self._are_special(ids), 1.0)
        return (drawn <= drawn.min().clamp(min=self.corruption.share)) & (drawn < 1)

    def _corrupt(self, ids: Tensor, chosen: Tensor) -> Tensor:
        assert self.vocabulary is not None
        other = torch.randint_like(ids, self.vocabulary.size)
        if isinstance(self.corruption, ReplacedTokens):
            return torch.where(chosen, other, ids)
        assert self.vocabulary.mask is not None
        drawn = torch.rand(ids.shape, device=ids.device)
        corrupted = ids.masked_fill(chosen & (drawn < _MASKED), self.vocabulary.mask)
        return torch.where(chosen & (drawn >= 1 - _OTHER), other, corrupted)

    def answers(self, output: Any) -> Tensor:
        """Return the vectors of the rows."""
        return output.output.rows if isinstance(output, _Read) else output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the losses up."""
        assert isinstance(output, _Read)
        read = output.output.read
        assert read is not None
        vectors, wanted = read[output.counted], output.targets[output.counted]
        n_tokens = max(1, len(wanted))  # texts may all be empty
        reported: dict[str, Any] = {}
        network = cast(MuxSequenceEmbedder, module)
        if isinstance(self.corruption, MaskedTokens):
            logits = network.score_words(vectors).float()
            total = F.cross_entropy(logits, wanted, reduction="sum") / n_tokens
            reported["mlm_acc"] = (logits.argmax(-1) == wanted).sum() / n_tokens
        else:
            assert network.replacement_head is not None
            logits = network.replacement_head(vectors).squeeze(-1).float()
            total = F.binary_cross_entropy_with_logits(logits, wanted.float(), reduction="sum")
            total = total / n_tokens
            reported["rtd_acc"] = ((logits > 0) == wanted).sum() / n_tokens
        if output.output.retrieval is not None:
            scores, tokens = output.output.retrieval
            reported["retrieval_acc"] = (scores.argmax(-1) == tokens).float().mean()
            total = total + self.corruption.retrieval_weight * retrieval_loss(scores, tokens)
        return total, reported
