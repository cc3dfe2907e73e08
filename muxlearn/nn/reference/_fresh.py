"""DataMUX's network before any training, drawn as the authors' scripts draw it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from muxlearn.nn.multiplex import HadamardMultiplexer
from muxlearn.nn.reference._common import ReferenceModel
from muxlearn.nn.reference.datamux import ReferenceSequenceClassifier

__all__ = ["DATAMUX_CONFIG", "draw_keys", "fresh_datamux", "to_state_dict"]

#: The authors' configuration: RoBERTa's of base size, and how rows are mixed.
DATAMUX_CONFIG: dict[str, Any] = {
    "architectures": ["RobertaSequenceClassificationMuxed"],
    "model_type": "roberta",
    "vocab_size": 50265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-5,
    "initializer_range": 0.02,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "num_instances": 2,
    "muxing_variant": "gaussian_hadamard",
    "demuxing_variant": "index",
    "gaussian_hadamard_norm": 1.0,
    "binary_hadamard_epsilon": 0.0,
    "learn_muxing": False,
    "retrieval_percentage": 1.0,
    "retrieval_loss_coeff": 0.1,
    "task_loss_coeff": 0.9,
}


def draw_keys(
    variant: str, n_mux: int, width: int, *, norm: float = 1.0, epsilon: float = 0.0
) -> Tensor:
    """Draw the keys of the authors' multiplexers (`instance_embedding`).

    Parameters
    ----------
    variant : {"gaussian_hadamard", "binary_hadamard", "random_ortho"}
    n_mux : int
    width : int
    norm : float, default=1.0
        Length of a Gaussian key.
    epsilon : float, default=0.0
        Part of its dimensions that a slot of binary keys shares with its neighbours, from 0 to 1:
        half of it with each.

    Returns
    -------
    Tensor of shape (n_mux, width), or (n_mux, width, width) for "random_ortho"
    """
    if variant == "random_ortho":
        return torch.stack([nn.init.orthogonal_(torch.empty(width, width)) for _ in range(n_mux)])
    if variant == "binary_hadamard":
        chunk = width // n_mux
        shared = epsilon / 2 * chunk
        keys = torch.zeros(n_mux, width)
        for slot, key in enumerate(keys):
            first = int(slot * chunk - shared) if slot else 0
            last = int((slot + 1) * chunk + shared) if slot + 1 < n_mux else width
            key[first:last] = 1
        return keys
    keys = torch.randn(n_mux, width)
    return keys / keys.norm(dim=1, keepdim=True) * norm


def fresh_datamux(config: Mapping[str, Any]) -> ReferenceSequenceClassifier:
    """Draw the weights of DataMUX's sequence classifier, which its warm-up starts from.

    Parameters
    ----------
    config : mapping
        Changes of `DATAMUX_CONFIG`.

    Returns
    -------
    ReferenceSequenceClassifier
        With two classes, as the authors' warm-up has.
    """
    config = {**DATAMUX_CONFIG, **config}
    variant, n_mux = config["muxing_variant"], config["num_instances"]
    model = ReferenceSequenceClassifier(
        config,
        n_mux,
        2,
        demultiplexer=config["demuxing_variant"],
        orthogonal=variant == "random_ortho",
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # The backbone has drawn its own; norms start as they are.
            if name.startswith("backbone.") or "norm" in name or name.endswith("keys"):
                continue
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(std=config["initializer_range"])
        keys = draw_keys(
            variant,
            n_mux,
            config["hidden_size"],
            norm=config["gaussian_hadamard_norm"],
            epsilon=config["binary_hadamard_epsilon"],
        )
        model.multiplexer.get_parameter("keys").copy_(keys / _scale(model))
    return model


def to_state_dict(model: ReferenceModel) -> dict[str, Tensor]:
    """Return the tensors of a model under the authors' names, each once.

    Parameters
    ----------
    model : ReferenceModel

    Returns
    -------
    dict of str to Tensor
        What `from_state_dict` takes.
    """
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in model.published_tensors().items()
    }
    tensors["instance_embedding"] *= _scale(model)
    return tensors


def _scale(model: ReferenceModel) -> float:
    """Return what keys are divided by: the authors divide vectors by n_mux, we by its root."""
    vectors = isinstance(model.multiplexer, HadamardMultiplexer)
    return math.sqrt(model.n_mux) if vectors else 1.0
