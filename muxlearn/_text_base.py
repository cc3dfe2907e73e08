"""What the text estimators share: encoder, tokenizer, warm-up, streams, saving."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

import muxlearn
from muxlearn._estimator import MuxEstimator, Runner, check_groups, seeded
from muxlearn._params import Choice, Constraint, Integer, Number, OneOf
from muxlearn._texts import TokenTable, check_texts, tokenize, train_tokenizer
from muxlearn.nn.demultiplex import DEMULTIPLEXERS, IdentityDemultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.multiplex import MULTIPLEXERS, IdentityMultiplexer
from muxlearn.nn.text import MuxSequenceClassifier
from muxlearn.persistence import (
    FormatError,
    decode_labels,
    decode_params,
    encode_labels,
    encode_params,
    read_folder,
    write_folder,
)

__all__ = ["MuxTextEstimator", "stream_windows"]

Self = TypeVar("Self", bound="MuxTextEstimator")

#: The parameters that decide what the module looks like.
_STRUCTURE = (
    "n_mux",
    "architecture",
    "multiplexer",
    "demultiplexer",
    "learn_keys",
    "backbone",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_length",
    "dropout",
)


class MuxTextEstimator(MuxEstimator):
    """Base class of the estimators that read texts."""

    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxEstimator._constraints,
        "architecture": Choice("tmux"),
        "multiplexer": Choice(*MULTIPLEXERS),
        "demultiplexer": Choice(*DEMULTIPLEXERS),
        "hidden_size": Integer(1),
        "num_hidden_layers": Integer(1),
        "num_attention_heads": Integer(1),
        "intermediate_size": OneOf(None, Integer(1)),
        "vocab_size": Integer(259),
        "max_length": Integer(4),
        "dropout": Number(0, 1, open_high=True),
        "warm_up": Choice("retrieval", None),
        "warm_up_epochs": Integer(0),
        "retrieval_samples": Integer(1),
    }

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _tokenize(self, rows: list[Any]) -> TokenTable:
        return tokenize(self.tokenizer_, rows)

    def _build(
        self, rows: list[Any], unlabeled: list[Any], n_classes: int
    ) -> tuple[Any, MuxSequenceClassifier]:
        """Build tokenizer and module."""
        if self.backbone is None:
            self._check_sizes()
            corpus = rows if unlabeled is rows else [*rows, *unlabeled]
            tokenizer = train_tokenizer(corpus, self.vocab_size)
            encoder: CompactEncoder | PretrainedEncoder = self._compact_encoder(
                tokenizer.get_vocab_size()
            )
        else:
            from muxlearn._backbone import load_backbone

            encoder, tokenizer = load_backbone(self.backbone, self.dropout)
        module = self._assemble(encoder, n_classes)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)
        return tokenizer, module

    def _assemble(
        self, encoder: CompactEncoder | PretrainedEncoder, n_classes: int
    ) -> MuxSequenceClassifier:
        """Put the parts of a model together around an encoder."""
        self._check_fits(encoder)
        width, hidden_size = encoder.embedding_size, encoder.hidden_size
        multiplexing = self.n_mux > 1
        multiplexer = MULTIPLEXERS[self.multiplexer] if multiplexing else IdentityMultiplexer
        demultiplexer = (
            DEMULTIPLEXERS[self.demultiplexer] if multiplexing else IdentityDemultiplexer
        )
        return MuxSequenceClassifier(
            encoder,
            multiplexer(self.n_mux, width, bool(self.learn_keys)),
            demultiplexer(self.n_mux, hidden_size),
            n_classes,
            self.dropout,
        )

    def _compact_encoder(self, vocab_size: int) -> CompactEncoder:
        return CompactEncoder(
            vocab_size,
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size or 4 * self.hidden_size,
            self.max_length,
            self._n_prefix(),
            self.dropout,
        )

    def _n_prefix(self) -> int:
        multiplexing = self.n_mux > 1
        return self.n_mux * (multiplexing and DEMULTIPLEXERS[self.demultiplexer].uses_prefix)

    def _check_sizes(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` {self.hidden_size} cannot be divided by `num_attention_heads` "
                f"{self.num_attention_heads}; change one of them"
            )
        self._check_width(self.hidden_size)

    def _check_width(self, width: int) -> None:
        if self.n_mux > width:
            wider = "raise `hidden_size`" if self.backbone is None else "take a wider `backbone`"
            raise ValueError(
                f"`n_mux` is {self.n_mux}, but token vectors of width {width} hold at most "
                f"{width} slots; lower `n_mux` or {wider}"
            )

    def _check_fits(self, encoder: CompactEncoder | PretrainedEncoder) -> None:
        self._check_width(encoder.embedding_size)
        if isinstance(encoder, CompactEncoder):
            return
        from muxlearn._backbone import max_positions

        positions = max_positions(encoder)
        needed = self.max_length + self._n_prefix()
        if positions is not None and needed > positions:
            prefix = f" and a prefix of {self._n_prefix()}" if self._n_prefix() else ""
            raise ValueError(
                f"`max_length` {self.max_length}{prefix} takes {needed} positions, but `backbone` "
                f"{str(self.backbone)!r} has {positions}; lower `max_length` to "
                f"{positions - self._n_prefix()} or less"
            )

    def _warm_up(
        self, tokenizer: Any, module: MuxSequenceClassifier, rows: list[Any], seed: int
    ) -> tuple[Any, bool]:
        """Train the retrieval task alone; returns its history and whether it was interrupted."""
        if self.warm_up is None or self.n_mux == 1 or self.warm_up_epochs == 0:
            return None, False
        from muxlearn._net import MixtureData

        net = self._train(
            module,
            MixtureData.unlabeled(tokenize(tokenizer, rows)),
            None,
            seed=seed,
            description="warm-up",
            max_epochs=self.warm_up_epochs,
            task_weight=0.0,
            retrieval_weight=1.0,
            retrieval_samples=self.retrieval_samples,
        )
        return net.history, net.interrupted_

    # Fitted state

    @property
    def module_(self) -> MuxSequenceClassifier:
        """The fitted torch module."""
        check_is_fitted(self)
        return self.net_.module_

    def _set_fitted(
        self,
        *,
        tokenizer: Any,
        net: Any,
        classes: NDArray,
        history: Any,
        warm_up_history: Any,
        plan_seed: int,
        structure: dict[str, Any],
    ) -> None:
        """Set all that `fit` and `load` leave behind, at once."""
        net.module_.eval()
        self.classes_ = classes
        self.tokenizer_ = tokenizer
        self.net_ = net
        self.history_ = history
        self.warm_up_history_ = warm_up_history
        self.n_iter_ = len(history)
        self._plan_seed = plan_seed
        self._structure = structure
        self._runner = Runner()

    def _structure_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STRUCTURE}

    def save(self, folder: str | os.PathLike) -> None:
        """Save the fitted estimator to a folder, as data without code.

        Parameters
        ----------
        folder : str or path
            Gets `config.json`, `model.safetensors` and `tokenizer.json`. Callbacks and the state
            of a random number generator are not kept.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            There is nothing to save.
        TypeError
            A label is neither a string, a number nor a bool.
        """
        check_is_fitted(self)
        module = self.module_
        config = {
            "estimator": type(self).__name__,
            "muxlearn_version": muxlearn.__version__,
            "params": encode_params(self.get_params(deep=False)),
            "structure": encode_params(self._structure),
            "vocab_size": module.encoder.embedding.num_embeddings,
            "labels": encode_labels(self.classes_),
            "plan_seed": self._plan_seed,
            "history": _epochs(self.history_),
            "warm_up_history": self.warm_up_history_ and _epochs(self.warm_up_history_),
        }
        if isinstance(module.encoder, PretrainedEncoder):
            config["backbone"] = module.encoder.model.config.to_dict()
        tensors = {
            name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()
        }
        write_folder(folder, config, tensors, self.tokenizer_.to_str())

    @classmethod
    def load(cls: type[Self], folder: str | os.PathLike) -> Self:
        """Load an estimator that `save` has written; nothing is unpickled.

        Parameters
        ----------
        folder : str or path

        Returns
        -------
        estimator
            Fitted, on the device that its `device` parameter names if there is such a one here.

        Raises
        ------
        FileNotFoundError
            There is no such folder.
        muxlearn.persistence.FormatError
            The folder holds something else, a newer format, another estimator, or damaged files.
        """
        config, tensors, tokenizer = read_folder(folder, cls.__name__)
        try:
            return cls._restore(config, tensors, tokenizer)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise FormatError(
                f"the files in {str(folder)!r} do not make up a model ({type(error).__name__}: "
                f"{error})"
            ) from error

    @classmethod
    def _restore(
        cls: type[Self], config: dict[str, Any], tensors: dict[str, torch.Tensor], tokenizer: str
    ) -> Self:
        from skorch.history import History
        from tokenizers import Tokenizer

        estimator = cls(**decode_params(config["params"]))
        estimator._settle_device()
        structure = decode_params(config["structure"])
        classes = decode_labels(config["labels"])
        with seeded(0, torch.device("cpu")):
            module = cls(**structure)._rebuild(config, len(classes))
        module.load_state_dict(tensors)
        net = estimator._compose_net(module, max_epochs=0)
        net.initialize()
        net.history = History(config["history"])
        warm_up = config["warm_up_history"]
        estimator._set_fitted(
            tokenizer=Tokenizer.from_str(tokenizer),
            net=net,
            classes=classes,
            history=net.history,
            warm_up_history=None if warm_up is None else History(warm_up),
            plan_seed=config["plan_seed"],
            structure=structure,
        )
        return estimator

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxSequenceClassifier:
        if config.get("backbone") is None:
            return self._assemble(self._compact_encoder(config["vocab_size"]), n_classes)
        from muxlearn._backbone import encoder_from_config

        return self._assemble(encoder_from_config(config["backbone"]), n_classes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" in state:
            self._settle_device()

    def _settle_device(self) -> None:
        """Take what there is where the device of a loaded estimator is not."""
        try:
            self._device()
        except ValueError:
            warnings.warn(
                f"this estimator was saved with device={str(self.device)!r}, on which torch "
                "cannot compute here; it goes on with device='auto'",
                stacklevel=4,
            )
            self.device = "auto"
        if self.dtype == "float16" and self._device().type == "cpu":
            warnings.warn(
                "this estimator was saved with dtype='float16', which needs a GPU; it goes on "
                "with dtype='auto'",
                stacklevel=4,
            )
            self.dtype = "auto"


def _epochs(history: Any) -> list[dict[str, Any]]:
    """Return the epochs of a skorch history without their batches."""
    return [
        {name: entry for name, entry in epoch.items() if name != "batches"} for epoch in history
    ]


def stream_windows(
    rows: Iterator[Any], groups: Iterator[Any] | None, size: int
) -> Iterator[tuple[list[Any], NDArray[np.int64] | None]]:
    """Cut a stream of texts into checked windows with their groups' numbers."""
    first_row = 0
    while window := list(islice(rows, size)):
        window = check_texts(window, first_row=first_row)
        codes = None
        if groups is not None:
            labels = list(islice(groups, len(window)))
            if len(labels) < len(window):
                raise ValueError(
                    "`groups` needs one label for each row of `X`, but ends after "
                    f"{first_row + len(labels)} labels"
                )
            codes = check_groups(labels, len(window))
        yield window, codes
        first_row += len(window)
    if groups is not None and list(islice(groups, 1)):
        raise ValueError(
            f"`groups` needs one label for each row of `X`, but goes on after its {first_row} rows"
        )
