"""What the text estimators share: encoder, tokenizer, warm-up, streams, saving."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

import muxlearn
from muxlearn._estimator import MuxEstimator, Runner, seeded
from muxlearn._labels import split_rows
from muxlearn._params import Choice, Constraint, Integer, Number, OneOf
from muxlearn._texts import ranges, train_tokenizer
from muxlearn.nn.demultiplex import DEMULTIPLEXERS, Demultiplexer, IdentityDemultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.multiplex import MULTIPLEXERS, IdentityMultiplexer, Multiplexer
from muxlearn.nn.text import MuxTextModule
from muxlearn.persistence import (
    FormatError,
    decode_labels,
    decode_params,
    encode_labels,
    encode_params,
    read_folder,
    write_folder,
)

__all__ = ["STRUCTURE", "MuxTextEstimator"]

Self = TypeVar("Self", bound="MuxTextEstimator")

#: The parameters that decide what the module looks like.
STRUCTURE = (
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


#: What the names of arrays that do not belong to the module start with in a saved file.
_ARRAY = "estimator."


class MuxTextEstimator(MuxEstimator):
    """Base class of the estimators that read texts."""

    _structure_names: ClassVar[tuple[str, ...]] = STRUCTURE
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

    def _fit(
        self,
        rows: list[Any],
        unlabeled: list[Any],
        *,
        classes: NDArray,
        targets: NDArray[np.int64],
        weights: NDArray[np.float32],
        n_targets: NDArray[np.int64],
        strata: NDArray[np.int64],
    ) -> None:
        """Fit to what has been checked.

        Parameters
        ----------
        rows, unlabeled : list
            Of the task and of the warm-up.
        classes : ndarray of shape (n_classes,)
        targets, weights : ndarray of shape (sum of n_targets,)
            Of all rows, one row after the other.
        n_targets : ndarray of int64, shape (n_rows,)
            Targets of each row.
        strata : ndarray of int64, shape (n_rows,)
            What early stopping takes in equal shares.
        """
        if self.early_stopping and len(rows) == 1:
            raise ValueError("`early_stopping` sets rows aside, but `X` has only one")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        continued = self.warm_start and self.__sklearn_is_fitted__()
        with seeded(seed, self._device()):
            interrupted = False
            if continued:
                self._check_continues(classes)
                # A copy, so that a fit which fails leaves the former one as it is.
                tokenizer, module = self.tokenizer_, copy.deepcopy(self.module_).train()
                warm_up_history = self.warm_up_history_
            else:
                tokenizer, module = self._build(rows, unlabeled, len(classes))
                warm_up_history, interrupted = self._warm_up(tokenizer, module, unlabeled, seed)
            starts = np.cumsum(n_targets) - n_targets

            def data(part: NDArray[np.int64]) -> Any:
                from muxlearn._net import MixtureData

                table = self._table(tokenizer, [rows[i] for i in part])
                own = ranges(starts[part], n_targets[part])
                return MixtureData(table, targets[own], weights[own])

            train, valid = np.arange(len(rows)), None
            if self.early_stopping:
                train, valid = split_rows(strata, self.validation_fraction, seed)
            net = self._train(
                module,
                data(train),
                None if valid is None else data(valid),
                seed=seed + 1,
                description="training",
                max_epochs=0 if interrupted else self.max_epochs,
                retrieval_weight=self.retrieval_weight if self.n_mux > 1 else 0.0,
                retrieval_samples=self.retrieval_samples,
                # Copies: skorch changes callbacks as it runs, and a parameter stays as given.
                callbacks=copy.deepcopy(list(self.callbacks or ())),
            )
        history = net.history
        if continued:
            history = type(history)([*self.history_, *history])
        self._set_fitted(
            tokenizer=tokenizer,
            net=net,
            classes=classes,
            history=history,
            warm_up_history=warm_up_history,
            plan_seed=seed,
            structure=self._structure if continued else self._structure_params(),
        )

    def _check_continues(self, classes: NDArray) -> None:
        for name, value in self._structure_params().items():
            if value != self._structure[name]:
                raise ValueError(
                    f"`warm_start` goes on with {name}={self._structure[name]!r}, but `{name}` is "
                    f"{value!r} now; set warm_start=False to begin anew"
                )
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"`warm_start` goes on with the classes {self.classes_.tolist()}, but `y` holds "
                f"{classes.tolist()}; set warm_start=False to begin anew"
            )

    def _corpus(self, rows: list[Any]) -> Iterable[Any]:
        """Return rows as the texts that a tokenizer is trained on."""
        return rows

    def _build(
        self, rows: list[Any], unlabeled: list[Any], n_classes: int
    ) -> tuple[Any, MuxTextModule]:
        """Build tokenizer and module."""
        if self.backbone is None:
            self._check_sizes()
            corpus = rows if unlabeled is rows else [*rows, *unlabeled]
            tokenizer = train_tokenizer(self._corpus(corpus), self.vocab_size)
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
    ) -> MuxTextModule:
        """Put the parts of a model together around an encoder."""
        self._check_fits(encoder)
        width, hidden_size = encoder.embedding_size, encoder.hidden_size
        multiplexing = self.n_mux > 1
        multiplexer = MULTIPLEXERS[self.multiplexer] if multiplexing else IdentityMultiplexer
        demultiplexer = (
            DEMULTIPLEXERS[self.demultiplexer] if multiplexing else IdentityDemultiplexer
        )
        return self._module(
            encoder,
            multiplexer(self.n_mux, width, bool(self.learn_keys)),
            demultiplexer(self.n_mux, hidden_size),
            n_classes,
        )

    def _module(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
    ) -> MuxTextModule:
        """Build the module of this estimator."""
        raise NotImplementedError

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
        self, tokenizer: Any, module: MuxTextModule, rows: list[Any], seed: int
    ) -> tuple[Any, bool]:
        """Train the retrieval task alone; returns its history and whether it was interrupted."""
        if self.warm_up is None or self.n_mux == 1 or self.warm_up_epochs == 0:
            return None, False
        from muxlearn._net import MixtureData

        net = self._train(
            module,
            MixtureData(self._table(tokenizer, rows)),
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
    def module_(self) -> MuxTextModule:
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
        return {name: getattr(self, name) for name in self._structure_names}

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
        tensors |= {_ARRAY + name: torch.tensor(array) for name, array in self._arrays().items()}
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
        arrays = {
            name.removeprefix(_ARRAY): tensors.pop(name).numpy()
            for name in list(tensors)
            if name.startswith(_ARRAY)
        }
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
        estimator._set_arrays(arrays)
        return estimator

    def _arrays(self) -> dict[str, NDArray]:
        """Return what `fit` has learned outside of the module, for `save`."""
        return {}

    def _set_arrays(self, arrays: dict[str, NDArray]) -> None:
        """Take back what `_arrays` returned."""

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxTextModule:
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
