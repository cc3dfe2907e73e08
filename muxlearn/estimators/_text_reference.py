"""Text models of the authors of DataMUX and MUX-PLMs, as fitted estimators."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from sklearn.base import is_regressor

from muxlearn._docs import fill_docs
from muxlearn._params import check_parameters
from muxlearn.architectures import TMUX, load_text_checkpoint
from muxlearn.backbones import Scratch

__all__ = ["from_reference"]


@fill_docs()
def from_reference(
    cls: Any,
    name_or_folder: str | os.PathLike,
    *,
    tokenizer: Any = None,
    classes: Iterable[Any] | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    device: Any = "auto",
    dtype: str = "auto",
    **params: Any,
) -> Any:
    """Load a model that the authors of DataMUX or of MUX-PLMs have published.

    The model computes the same as its authors' code. The embedding layer runs on the rows and
    again on the mixture. Every row is padded to `max_length`, and padding is read like any
    token. Rows share mixtures in the order in which they come. In contrast to that code,
    an incomplete mixture is filled up with other rows of the same call, which count once.

    Predictions with a smaller `n_mux`, `groups` and `n_passes` and `save` work as with any
    other model. With a smaller `n_mux`, each row stands in several slots and the probabilities
    of the slots are averaged (the ensembling of MUX-PLMs).

    Parameters
    ----------
    name_or_folder : str or path
        A folder with ``config.json`` and ``pytorch_model.bin`` or ``model.safetensors``, or
        a name on the hub such as ``"princeton-nlp/datamux-mnli-20"``. Supported are the
        classifiers of sequences and of tokens of DataMUX, MUX-BERT and MUX-ELECTRA, with all
        their multiplexers and demultiplexers, and for `MuxTextRegressor` those with one output,
        such as one for STS-B; and texts' classifiers in the layout of MIMOFormer, whose
        ``config.json`` holds its configuration (``attn_type``, …). Only tensors are unpickled.

    tokenizer : str, path, tokenizers.Tokenizer or fast tokenizer of transformers, default=None
        The tokenizer. None takes the folder's. DataMUX's models were trained with that of
        ``roberta-base``, MUX-BERT's with that of ``bert-base-uncased``. A MIMOFormer without
        one reads sequences of integers.

    classes : sequence of labels, default=None
        The labels, in the order of the model's outputs. None takes those of the
        configuration, or ``0, 1, …`` if it has none. A regression has none.

    {hub.revision}

    {hub.cache_dir}

    {hub.local_files_only}

    device, dtype, **params
        Parameters of the estimator. Those that describe the model are read from it; a given
        one must agree. The default of `max_length` is 128, the authors' choice, or less if the
        model has fewer positions.

    Returns
    -------
    estimator
        The fitted estimator. With ``warm_start=True``, `fit` trains the model further, on the
        same classes and at 5e-5 if `lr` is "auto". Otherwise `fit` starts over and replaces
        the loaded model with one of this library, of the sizes that the parameters set.

    Raises
    ------
    OSError
        There is no such folder, locally or on the hub.
    ValueError
        The folder holds no such checkpoint, one of another task or no tokenizer. Tensors are
        missing, left over, or contradict the configuration or a parameter.
    """
    kind = cls._kind
    if odd := [name for name in ("architecture", "backbone") if name in params]:
        raise ValueError(f"`{odd[0]}` is read from the model; leave it out")
    estimator = cls(device=device, dtype=dtype, **params)
    check_parameters(estimator.get_params(deep=False), cls._constraints)
    estimator._device()
    published = load_text_checkpoint(
        name_or_folder,
        kind.level,
        tokenizer=tokenizer,
        classes=classes,
        numbers=is_regressor(estimator),
        max_length=params.get("max_length"),
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
    )
    described = published.params
    for name, value in described.items():
        if name in params and params[name] != value:
            raise ValueError(
                f"`{name}` is {params[name]!r}, but the model in {str(name_or_folder)!r} has "
                f"{value!r}; leave it out"
            )
    if isinstance(described["architecture"], dict):
        network = TMUX(**described["architecture"], lexical_path=kind.level != "token")
        described |= {"architecture": network, "backbone": Scratch(**described["backbone"])}
    estimator.set_params(**described)
    estimator._check_parameters()
    task = kind.published_task(estimator, published.classes)
    reader = kind.wrap(estimator, published.tokenizer, published.module)
    estimator._set_trained_elsewhere(reader, task, published.module)
    return estimator
