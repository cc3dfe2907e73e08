"""Compare our numbers with those that MIMOFormer's reference implementation gave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from muxlearn.benchmark._parity_case import below, load_case, max_error
from muxlearn.nn.favor import GridAttention
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.mimoformer_layers import MIMOFormerLayer

__all__ = ["covers", "errors"]

Tensors = Mapping[str, Tensor]


def covers(case: dict[str, Any]) -> bool:
    """Return whether a case, read from its json file with its `name`, is one of MIMOFormer."""
    return case["name"].startswith("attention_micro") or "attn_type" in case.get("config", {})


@torch.no_grad()
def errors(path: Path) -> dict[str, float]:
    """Return the largest absolute error of each quantity of a case.

    Parameters
    ----------
    path : Path
        The json file.

    Returns
    -------
    dict of str to float
        The error of the isometry term, a sum over thousands of products, is relative. Infinite
        where shapes differ and for what nobody computes.
    """
    case = json.loads(path.read_text(encoding="utf-8"))
    if "config" not in case:
        return _attention_errors(load_file(path.with_suffix(".safetensors")))
    config, weights, recorded = load_case(path)
    model = MIMOFormer.from_state_dict(config, weights, reference_padding=True)
    n_mux = model.warm_up_n_mux if case.get("warmup") else None
    ours = _run(model, recorded, n_mux, config.get("ortho_regularization", 0.0))
    folded = _run(model.for_inference(), recorded, n_mux, 0.0)
    found = {}
    for name, theirs in recorded.items():
        kind, _, name = name.partition(".")
        if kind != "output":
            continue
        found[name] = max_error(ours.get(name), theirs)
        if name == "isometry_reg":
            found[name] /= max(1.0, theirs.abs().item())
        if name.startswith(("tokens", "logits")):
            found[f"{name}, folded"] = max_error(folded.get(name), theirs)
    return found


def _run(
    model: MIMOFormer, recorded: Tensors, n_mux: int | None, isometry_weight: float
) -> dict[str, Tensor]:
    """Return our values of what may be recorded."""
    # A pair of texts has two tensors of each.
    ids, masks = (
        [tensor for name, tensor in sorted(recorded.items()) if name.startswith(starts)]
        for starts in (("input.ids", "input.input_ids"), "input.mask")
    )
    names = sorted(name for name in recorded if name.startswith("output.tokens"))
    values = {
        name.removeprefix("output."): model.encode(text, mask, n_mux)[0]
        for name, text, mask in zip(names, ids, masks, strict=False)
    }
    logits, labels = model(_join(ids), _join(masks), n_mux), recorded["input.label"]
    isometry = model.isometry_regularizer()
    loss = F.cross_entropy(logits, labels, reduction="none")
    return values | {
        "logits": logits,
        "loss_per_item": loss + isometry_weight * isometry,
        "accuracy_per_item": (logits.argmax(1) == labels).float(),
        "isometry_reg": isometry,
    }


def _join(texts: list[Tensor]) -> Tensor:
    return texts[0] if len(texts) == 1 else torch.stack(texts, 1)


def _attention_errors(tensors: Tensors) -> dict[str, float]:
    found = {}
    for case in sorted({name.partition(".")[0] for name in tensors}):
        recorded = below(tensors, case)
        attention, rows = _attention_alone(recorded, merge=case.startswith("attmlp"))
        grid = attention.keys.shape[0], attention.keys.shape[1]
        theirs = recorded["out"].transpose(1, 2).flatten(2)
        mask = recorded["mask"]
        size = theirs.shape[2]
        found[case] = max_error(attention(rows, mask, grid)[..., :size], theirs)
        attention.fold()
        found[f"{case}, folded"] = max_error(attention(rows, mask, grid)[..., :size], theirs)
        if "bindings_embedding" in recorded:
            keys = recorded["bindings_embedding"].squeeze(3).squeeze(0)
            layer = MIMOFormerLayer(keys.shape[2], attention, 1, grid)
            layer.skip_keys = keys
            skip, retrieved = recorded["skip_out"], recorded["retrieve_out"]
            found[f"{case} skip"] = max_error(layer.bundle(recorded["skip_in"], grid), skip)
            ours = layer.retrieve(recorded["retrieve_in"], grid)
            found[f"{case} retrieved"] = max_error(ours, retrieved)
    return found


def _attention_alone(recorded: Tensors, merge: bool) -> tuple[GridAttention, Tensor]:
    """Return an attention whose linear layers pass on recorded queries, keys and values."""
    parts = [recorded[name].transpose(1, 2).flatten(2) for name in "qkv"]
    size, n_heads = parts[0].shape[2], recorded["q"].shape[1]
    n_features, head_dim = recorded["projection"].shape
    keys = recorded.get("bindings", torch.ones(1, 1, 1, 1, 1, head_dim)).squeeze((0, 3, 4))
    grid = keys.shape[0], keys.shape[1]
    attention = GridAttention(
        3 * size, n_heads, head_dim, grid, n_features, merge=merge, reference_padding=True
    )
    identity = torch.eye(3 * size)
    layers = (attention.query, attention.key, attention.value)
    for layer, weight in zip(layers, identity.split(size), strict=True):
        layer.weight.copy_(weight)
        layer.bias.zero_()
    attention.out.weight.copy_(identity[:, :size])
    attention.out.bias.zero_()
    attention.projection.copy_(recorded["projection"])
    attention.keys.copy_(keys)
    return attention, torch.cat(parts, 2)
