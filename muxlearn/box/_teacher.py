"""The encoder that a training starts from and is taught by, as a small file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from muxlearn.nn.encoder import CompactEncoder

__all__ = [
    "compress",
    "encoder_arguments",
    "expand",
    "load_teacher",
    "read_bert",
    "write_teacher",
]

_SCALE = ".scale"
#: Tensors that lose nothing measurable as bytes with a scale for each row.
_AS_BYTES = ("embedding.weight",)


def read_bert(folder: str | os.PathLike) -> CompactEncoder:
    """Read an encoder with BERT's tensors.

    Parameters
    ----------
    folder : str or path
        With ``config.json`` and ``model.safetensors`` as `transformers` writes them.

    Returns
    -------
    CompactEncoder
        Computes what the original does without a pooler and where all tokens are of the first
        type: the texts of a pair are told apart by the token between them.

    Raises
    ------
    ValueError
        The folder holds an encoder of another kind.
    """
    config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ValueError(
            f"{folder} holds a {config.get('model_type')!r} encoder with activation "
            f"{config.get('hidden_act')!r}; the packaged encoder starts from 'bert' with 'gelu'"
        )
    given = load_file(Path(folder, "model.safetensors"))
    given = {name.removeprefix("bert."): tensor.float() for name, tensor in given.items()}
    encoder = CompactEncoder(
        config["vocab_size"],
        config["hidden_size"],
        config["num_hidden_layers"],
        config["num_attention_heads"],
        config["intermediate_size"],
        config["max_position_embeddings"],
        dropout=0.0,
        norm_first=False,
        layer_norm_eps=config["layer_norm_eps"],
    )
    types = given["embeddings.token_type_embeddings.weight"]
    tensors = {
        "embedding.weight": given["embeddings.word_embeddings.weight"],
        "position_embedding.weight": given["embeddings.position_embeddings.weight"] + types[0],
    }
    parts = {"embedding_norm": "embeddings.LayerNorm"}
    for number in range(config["num_hidden_layers"]):
        theirs, ours = f"encoder.layer.{number}.", f"layers.{number}."
        parts |= {
            f"{ours}attention_out": f"{theirs}attention.output.dense",
            f"{ours}attention_norm": f"{theirs}attention.output.LayerNorm",
            f"{ours}mlp_in": f"{theirs}intermediate.dense",
            f"{ours}mlp_out": f"{theirs}output.dense",
            f"{ours}mlp_norm": f"{theirs}output.LayerNorm",
        }
        for kind in ("weight", "bias"):
            of_heads = [
                given[f"{theirs}attention.self.{name}.{kind}"] for name in ("query", "key", "value")
            ]
            tensors[f"{ours}qkv.{kind}"] = torch.cat(of_heads)
    for ours, theirs in parts.items():
        for kind in ("weight", "bias"):
            tensors[f"{ours}.{kind}"] = given[f"{theirs}.{kind}"]
    encoder.load_state_dict(tensors)
    return encoder


def compress(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make tensors small: half precision, and token tables as bytes with a scale for each token.

    Parameters
    ----------
    tensors : dict of str to Tensor

    Returns
    -------
    dict of str to Tensor
    """
    small: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().float().cpu()
        if name.endswith(_AS_BYTES) and tensor.shape[-1] > 1 and len(tensor) > 1000:
            scale = tensor.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
            small[name] = (tensor / scale).round().to(torch.int8)
            small[name + _SCALE] = scale
        else:
            small[name] = tensor.half().contiguous()
    return small


def expand(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `compress`, as far as that goes.

    Parameters
    ----------
    tensors : dict of str to Tensor

    Returns
    -------
    dict of str to Tensor of float32
    """
    return {
        name: tensor.float() * tensors[name + _SCALE]
        if name + _SCALE in tensors
        else tensor.float()
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE)
    }


def encoder_arguments(encoder: CompactEncoder) -> dict[str, Any]:
    """Return what an encoder of the same sizes, without dropout, is built with.

    Parameters
    ----------
    encoder : CompactEncoder

    Returns
    -------
    dict
    """
    return {**encoder.sizes, "dropout": 0.0}


def write_teacher(folder: str | os.PathLike, path: str | os.PathLike) -> None:
    """Read an encoder from a folder and write it as one small file.

    Parameters
    ----------
    folder : str or path
        A folder with ``config.json`` and ``model.safetensors`` as `transformers` writes them.
    path : str or path
        The file to write; 33 MB for MiniLM.
    """
    encoder = read_bert(folder)
    save_file(
        compress(encoder.state_dict()),
        path,
        metadata={"sizes": json.dumps(encoder_arguments(encoder))},
    )


def load_teacher(path: str | os.PathLike) -> CompactEncoder:
    """Read what `write_teacher` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    CompactEncoder
    """
    with safe_open(path, "pt") as file:
        sizes = json.loads(file.metadata()["sizes"])
    tensors = expand(load_file(path))
    encoder = CompactEncoder(**sizes)
    encoder.load_state_dict(tensors)
    return encoder
