"""Encoders and tokenizers of the transformers library, from a folder or the hub."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muxlearn._warnings import warn
from muxlearn.nn.encoder import PretrainedEncoder
from muxlearn.persistence import (
    TOKENIZER_FILES,
    FormatError,
    bounded_by,
    check_sizes,
    find_folder,
    first_line,
    quiet_transformers,
    read_shapes,
    refuse_code,
    told_as_format_error,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["encoder_from_config", "load_backbone", "max_positions"]

_TOKENIZERS = (
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
)
#: What to bring from the hub beside the weights, which may be in parts.
_FILES = (
    *("config.json", *TOKENIZER_FILES, *_TOKENIZERS),
    *("model.safetensors.index.json", "model-*.safetensors"),
)
_SETTINGS = "the environment variable HF_HOME"


def load_backbone(
    name: str | os.PathLike, dropout: float, *, parameter: str = "backbone"
) -> tuple[PretrainedEncoder, Tokenizer]:
    """Load an encoder with its tokenizer.

    Parameters
    ----------
    name : str or path
        A folder, or the name of a model on the hub.
    dropout : float
        Takes the place of the model's own.
    parameter : str, default="backbone"
        What to call it in an error.

    Returns
    -------
    PretrainedEncoder
    tokenizers.Tokenizer

    Raises
    ------
    OSError
        There is no such model, neither as a folder nor on the hub or in its cache.
    ValueError
        The model is not an encoder, or its tokenizer is missing or is not a fast one.
    muxlearn.persistence.FormatError
        The model or its tokenizer names code of its own, or a weight is NaN or infinite.
    """
    from transformers import AutoConfig, AutoModel, PretrainedConfig

    # Found first: transformers would ask a hub that is out of reach for half a minute.
    folder = str(find_folder(name, _FILES, parameter=parameter, settings=_SETTINGS, weights=True))
    name = os.fspath(name)
    with quiet_transformers():
        described, _ = _load("model", name, parameter, PretrainedConfig.get_config_dict, folder)
        refuse_code(described, f"`{parameter}` {name!r}")
        # A file in parts is not looked into.
        shapes = list(read_shapes(Path(folder)).values()) or None
        if shapes is not None:
            with told_as_format_error(f"the files in {name!r}"):
                check_sizes(described, shapes)
        config = _load("model", name, parameter, _without_code(AutoConfig.from_pretrained), folder)
        _check_is_encoder(name, config, parameter)
        tokenizer = _load_tokenizer(name, parameter, folder)
        _set_dropout(config, dropout)
        load = _without_code(AutoModel.from_pretrained, config=config, output_loading_info=True)
        with bounded_by(shapes):
            model, info = _load("model", name, parameter, load, folder)
    _check_finite(name, model, parameter)
    _warn_of_missing(name, info["missing_keys"], parameter)
    encoder = PretrainedEncoder(model)
    _check_belong_together(name, encoder, tokenizer, parameter)
    return encoder, tokenizer


def _check_finite(name: str, model: Any, parameter: str) -> None:
    for weight, values in model.named_parameters():
        if values.is_floating_point() and not values.isfinite().all():
            raise FormatError(
                f"`{parameter}` {name!r}: the weight {weight!r} holds NaN or infinity, with which "
                "nothing can be learned; take an undamaged copy"
            )


def encoder_from_config(config: dict[str, Any], dropout: float | None = None) -> PretrainedEncoder:
    """Build an encoder without weights from what ``config.to_dict()`` gave.

    Parameters
    ----------
    config : dict
    dropout : float, default=None
        Takes the place of the configuration's own; None leaves it.

    Returns
    -------
    PretrainedEncoder

    Raises
    ------
    muxlearn.persistence.FormatError
        The configuration names code of its own.
    """
    from transformers import AutoConfig, AutoModel

    refuse_code(config, "the saved encoder")
    options = dict(config)
    with quiet_transformers():
        kind = options.pop("model_type")
        _check_types(options, AutoConfig.for_model(kind).to_dict())
        if "chunk_size_feed_forward" in options:
            options["chunk_size_feed_forward"] = 0  # saves memory alone, and not every size fits
        described = AutoConfig.for_model(kind, **options)
        if dropout is not None:
            _set_dropout(described, dropout)
        model = AutoModel.from_config(described, trust_remote_code=False)
    return PretrainedEncoder(model)


def _check_types(options: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise TypeError for an option that is of another type than its default, where it has one."""
    for name, value in options.items():
        default = defaults.get(name)
        # Some families write a rate of 0 as a whole number.
        is_rate = type(default) is float or "drop" in name
        kinds = (int, float) if is_rate else type(default)
        is_whole = isinstance(value, float) and value.is_integer() and type(default) is int
        is_missing = value is None and type(default) is not float
        if default is not None and not (isinstance(value, kinds) or is_whole or is_missing):
            raise TypeError(f"`backbone.{name}` is {value!r}, but the default is {default!r}")


def max_positions(encoder: PretrainedEncoder) -> int | None:
    """Return how many positions an encoder has, None where there is no bound.

    Parameters
    ----------
    encoder : PretrainedEncoder

    Returns
    -------
    int or None
    """
    n_positions = getattr(encoder.model.config, "max_position_embeddings", None)
    embeddings = getattr(encoder.model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    padding_idx = getattr(table, "padding_idx", None)
    if n_positions is None or padding_idx is None:
        return n_positions
    # The RoBERTa family counts positions from padding_idx + 1.
    return n_positions - padding_idx - 1


def _check_belong_together(
    name: str, encoder: PretrainedEncoder, tokenizer: Tokenizer, parameter: str
) -> None:
    accepted = inspect.signature(encoder.model.forward).parameters
    if not {"inputs_embeds", "attention_mask"} <= accepted.keys():
        raise ValueError(
            f"`{parameter}` {name!r}, a {type(encoder.model).__name__}, does not take token "
            "vectors and an attention mask; take another encoder"
        )
    n_tokens, n_vectors = tokenizer.get_vocab_size(), encoder.embedding.num_embeddings
    if n_tokens > n_vectors:
        raise ValueError(
            f"the tokenizer of `{parameter}` {name!r} has {n_tokens} tokens, but the model has "
            f"vectors for {n_vectors}; they do not belong together"
        )


def _check_is_encoder(name: str, config: Any, parameter: str) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        problem = "an encoder-decoder"
    elif kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_decoder", False):
        problem = "not a text encoder"
    else:
        return
    raise ValueError(
        f"`{parameter}` {name!r} is of type {kind!r}, {problem}; a mixture needs a text encoder "
        "that reads in both directions, such as BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM or "
        "ModernBERT"
    )


def _warn_of_missing(name: str, keys: Iterable[str], parameter: str) -> None:
    # A pooler is not used here, and many checkpoints come without it.
    missing = sorted(key for key in keys if "pooler" not in key)
    if missing:
        warn(
            f"the files of `{parameter}` {name!r} lack {len(missing)} of the model's weights, "
            f"which start at random: {', '.join(missing[:3])}, …",
        )


def _set_dropout(config: Any, dropout: float) -> None:
    for name in ("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"):
        if hasattr(config, name):
            setattr(config, name, dropout)
    # With dropout inside, attention leaves its fast path and holds all its weights.
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)


def _load_tokenizer(name: str, parameter: str, folder: str) -> Tokenizer:
    from transformers import AutoTokenizer
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    if not any((Path(folder) / file).exists() for file in _TOKENIZERS):
        raise ValueError(
            f"`{parameter}` {name!r} has no tokenizer: none of {', '.join(_TOKENIZERS)} is there; "
            "save the model's tokenizer into the folder with tokenizer.save_pretrained"
        )
    described = _load("tokenizer", name, parameter, get_tokenizer_config, folder)
    refuse_code(described, f"the tokenizer of `{parameter}` {name!r}")
    load = _without_code(AutoTokenizer.from_pretrained)
    tokenizer = _load("tokenizer", name, parameter, load, folder)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(
            f"the tokenizer of `{parameter}` {name!r} is a {type(tokenizer).__name__}, which has "
            "no fast form (tokenizer.json); muxlearn needs one"
        )
    return backend


def _without_code(load: Any, **options: Any) -> Any:
    """Return a function that never asks the user whether to run a model's code, nor runs it."""
    return partial(load, trust_remote_code=False, **options)


def _load(what: str, name: str, parameter: str, load: Any, folder: str) -> Any:
    try:
        return load(folder)
    except Exception as error:  # damaged files make torch and safetensors raise errors of theirs
        raise OSError(
            f"`{parameter}`: the folder {name!r} holds no {what} that transformers can read "
            f"({first_line(error)})"
        ) from error
