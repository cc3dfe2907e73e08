"""Errors of the text models of the reference: DataMUX's and MUX-BERT's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muxlearn.benchmark._parity_case import load_case, max_error, relative_error
from muxlearn.nn.reference import (
    ContextualMultiplexer,
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
    ReferenceModel,
    ReferenceSequenceClassifier,
    ReferenceTokenClassifier,
)

__all__ = ["COUNTERPARTS", "covers", "errors"]

#: Our class for each of the reference.
COUNTERPARTS: dict[str, type[ReferenceModel]] = {
    "RobertaSequenceClassificationMuxed": ReferenceSequenceClassifier,
    "RobertaTokenClassificationMuxed": ReferenceTokenClassifier,
    "MuxedBertForSequenceClassification": MuxBertSequenceClassifier,
    "MuxedBertForTokenClassification": MuxBertTokenClassifier,
    "MuxedBertForMaskedLM": MuxBertMaskedLM,
}

# Recorded beside the outputs, but of use as inputs: what was drawn, and where to look.
_GIVEN = ("output.retrieval_instance_labels", "output.retrieval_logits_ids")


def covers(case: dict[str, Any]) -> bool:
    """Return whether a case, read from its json file, is of a class that has a counterpart."""
    return _official_class(case) in COUNTERPARTS


def errors(path: Path) -> dict[str, float]:
    """Compute what a case records.

    Parameters
    ----------
    path : Path
        The json file.

    Returns
    -------
    dict of str to float
        The largest absolute error of every recorded quantity; infinity for one that is not known
        here.
    """
    config, state_dict, tensors = load_case(path)
    model_class = COUNTERPARTS[_official_class(json.loads(path.read_text(encoding="utf-8")))]
    model = model_class.from_state_dict(config, state_dict)
    recorded = {k: v for k, v in tensors.items() if k.startswith("output") and k not in _GIVEN}
    computed: dict[str, Tensor] = {}
    for run in sorted({name.partition(".")[0] for name in recorded}):
        if isinstance(model.multiplexer, ContextualMultiplexer):
            # The cases come from a later transformers; one run has the authors' version's mask.
            model.multiplexer.legacy_mask = run == "output_legacy_mask10000"
        if run == "output_allones_mask":
            computed[f"{run}.logits"] = _without_labels(model, tensors, mask=None)
        else:
            computed |= {f"{run}.{name}": x for name, x in _compute(model, tensors).items()}
    return {
        name.removeprefix("output."): (relative_error if name.endswith("loss") else max_error)(
            computed.get(name), theirs
        )
        for name, theirs in sorted(recorded.items())
    }


def _official_class(case: dict[str, Any]) -> str:
    return (case.get("official_class") or "").rpartition(".")[2]


@torch.no_grad()
def _compute(model: ReferenceModel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return all quantities under their recorded names."""
    ids, labels = tensors["input.input_ids"], tensors["input.labels"]
    slots, mask = tensors["output.retrieval_instance_labels"], tensors["input.attention_mask"]
    with _watched(model) as stages:
        if isinstance(model, MuxBertMaskedLM):
            output = model(ids, labels, slots, mask, tensors.get("input.token_type_ids"))
        else:
            output = model(ids, labels, slots, mask)
    names = ("logits", "task_loss", "retrieval_loss", "loss", "retrieval_logits")
    quantities = {name: getattr(output, name) for name in names}
    quantities["task_loss_targets"] = output.task_targets.flatten()
    quantities["retrieval_loss_targets"] = output.retrieval_targets
    if isinstance(model, MuxBertMaskedLM):
        quantities["mlm_mask"] = predicted = output.task_targets != -100
        quantities["mlm_logits_at_mask"] = output.logits[predicted]
    else:
        quantities["demuxed"] = _add_prefix(model, stages["sequence_output"], output.demuxed)
        quantities["logits_without_labels"] = _without_labels(model, tensors, mask)
    if (some_ids := tensors.get("output.retrieval_logits_ids")) is not None:
        quantities["retrieval_logits_at_ids"] = output.retrieval_logits[..., some_ids]
        quantities["retrieval_logsumexp"] = output.retrieval_logits.logsumexp(-1)
    return stages | {name: x for name, x in quantities.items() if x is not None}


@contextmanager
def _watched(model: ReferenceModel) -> Iterator[dict[str, Tensor]]:
    """Collect what passes between input and output."""
    stages: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module, pick: Callable[[Any, Any, Any], Tensor | None]) -> Any:
        def keep(_: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            if (picked := pick(args, kwargs, out)) is not None:
                stages[name] = picked

        return module.register_forward_hook(keep, with_kwargs=True)

    multiplexer, embeddings = model.multiplexer, model.backbone.embeddings
    handles = [
        watch("model_input_ids", embeddings, lambda _, kwargs, out: kwargs.get("input_ids")),
        watch(
            "instance_embeddings_before_mux", multiplexer, lambda args, *_: args[0].flatten(0, 1)
        ),
        watch("mux_embedding", multiplexer, lambda *passed: passed[-1]),
        # The embedding layer runs twice; the later run, on the mixture, stays.
        watch("embeddings_after_backbone_embedding_layer", embeddings, lambda *passed: passed[-1]),
        watch("sequence_output", model.backbone, lambda *passed: passed[-1].last_hidden_state),
    ]
    try:
        yield stages
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _without_labels(
    model: ReferenceModel, tensors: dict[str, Tensor], mask: Tensor | None
) -> Tensor:
    """Return the logits, with those of the prefix, which the reference leaves in."""
    with _watched(model) as stages:
        output = model(tensors["input.input_ids"], attention_mask=mask)
    demuxed = _add_prefix(model, stages["sequence_output"], output.demuxed)
    n_cut = demuxed.shape[1] - output.demuxed.shape[1]
    return torch.cat([model.head(demuxed[:, :n_cut]), output.logits], 1) if n_cut else output.logits


def _add_prefix(model: ReferenceModel, hidden: Tensor, demuxed: Tensor) -> Tensor:
    """Put what a token classifier cuts off in front again."""
    if not (model.per_token and model.n_prefix):
        return demuxed
    return torch.cat([model.unfold(hidden, slice(0, model.n_prefix)), demuxed], 1)
