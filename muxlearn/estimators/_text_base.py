"""The base class of the text estimators: encoder, tokenizer, warm-up."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from sklearn.base import is_regressor
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint, Integer, Number, OneOf, check_parameters
from muxlearn.architectures import TMUX, Built, load_reference
from muxlearn.backbones import BackboneChoice, Corpus, Scratch, is_pretrainer
from muxlearn.estimators._base import MuxEstimator
from muxlearn.nn.demultiplex import DEMULTIPLEXERS
from muxlearn.nn.module import MuxModule
from muxlearn.nn.multiplex import MULTIPLEXERS, NESTED
from muxlearn.points import OperatingPoints
from muxlearn.rows import Reader, TokenizerReader
from muxlearn.tasks import ClassesTask, Task

__all__ = ["MuxTextEstimator"]

Self = TypeVar("Self", bound="MuxTextEstimator")


@fill_docs()
class MuxTextEstimator(MuxEstimator):
    """Base class of the estimators that read texts."""

    backbone: Any

    _memory_advice: ClassVar[str] = (
        "lower `batch_size` (mixtures in a batch), `max_length` or, in training, "
        "`retrieval_samples`"
    )
    _structure_names: ClassVar[tuple[str, ...]] = (
        *("n_mux", "patch_size", "multiplexer", "demultiplexer", "max_length", "dropout"),
    )
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxEstimator._constraints,
        "n_mux": OneOf(Choice("auto"), Integer(1)),
        "patch_size": OneOf(Choice("auto"), Integer(1)),
        "operating_points": OneOf(None, OperatingPoints()),
        "multiplexer": Choice("auto", *MULTIPLEXERS, NESTED),
        "demultiplexer": Choice("auto", *DEMULTIPLEXERS, NESTED),
        "backbone": BackboneChoice(),
        "max_length": Integer(4, 2**31 - 1),
        "dropout": Number(0, 1, open_high=True),
        "warm_up": OneOf(None, Choice("auto"), Integer(0)),
    }

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    @property
    def _backbone(self) -> Any:
        """The backbone that the parameter stands for."""
        return self._make_architecture().backbone(self.backbone)

    def _starts_from_scratch(self) -> bool:
        return bool(self._backbone.from_scratch)

    def _structure_params(self) -> dict[str, Any]:
        backbone, params = self._backbone, super()._structure_params()
        if isinstance(self.backbone, str | os.PathLike | None) and backbone.from_scratch is False:
            return {**params, "backbone": self.backbone}
        if is_pretrainer(self.backbone):
            # A folder cannot hold the object, and has no need to.
            return {**params, "backbone": "a MuxTextPretrainer"}
        nested = {f"backbone__{name}": value for name, value in backbone.structure().items()}
        return {**params, "backbone": backbone.name, **nested}

    def _as_texts(self, rows: Iterable[Any]) -> Iterable[Any]:
        """Return rows as the texts that a tokenizer is trained on."""
        return rows

    def _build(self, rows: list[Any], extra: list[Any], n_classes: int) -> Built:
        """Build tokenizer and module."""
        corpus = Corpus(rows, extra, self._as_texts)
        built = self._make_architecture().build(self._setting(), corpus, n_classes)
        return built._replace(reader=self._reader_around(built.reader, built.module))

    def _reader_around(self, tokenizer: Any, module: MuxModule) -> Reader:
        """Return the reader around the tokenizer of the backbone."""
        reader = self._wrap(tokenizer, module)
        if self._backbone.packaged and isinstance(reader, TokenizerReader):
            return replace(reader, english=True)
        return reader

    def _wrap(self, tokenizer: Any, module: MuxModule) -> Reader:
        """Return the reader around the tokenizer of a module."""
        raise NotImplementedError

    # Published models

    @classmethod
    def from_reference(
        cls: type[Self],
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
    ) -> Self:
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
        if cls._task_name == "vector":
            raise TypeError(
                f"no published model is a {cls.__name__}; load it with "
                "MuxTextClassifier.from_reference or MuxTokenTagger.from_reference"
            )
        if odd := [name for name in ("architecture", "backbone") if name in params]:
            raise ValueError(f"`{odd[0]}` is read from the model; leave it out")
        estimator = cls(device=device, dtype=dtype, **params)
        check_parameters(estimator.get_params(deep=False), cls._constraints)
        estimator._device()
        published = load_reference(
            name_or_folder,
            cls._task_name,
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
            network = TMUX(**described["architecture"], lexical_path=cls._task_name != "token")
            described |= {"architecture": network, "backbone": Scratch(**described["backbone"])}
        estimator.set_params(**described)
        estimator._check_parameters()
        task = estimator._reference_task_of(published.classes)
        reader = estimator._wrap(published.tokenizer, published.module)
        estimator._set_trained_elsewhere(reader, task, published.module)
        return estimator

    def _reference_task_of(self, classes: Any) -> Task:
        """Return the task of a published model, by its labels if it has any."""
        return ClassesTask(classes)

    # Fitted state

    @property
    def tokenizer_(self) -> Any:
        """The tokenizer."""
        check_is_fitted(self)
        return getattr(self._reader, "tokenizer", self._reader)

    @property
    def warm_up_history_(self) -> Any:
        """Losses and retrieval accuracy of the warm-up, None if there was none."""
        check_is_fitted(self)
        return self._warm_up_history
