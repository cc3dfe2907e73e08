"""Estimators around a published model: how they come to be and how they mix rows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from muxlearn._estimator import MuxEstimator
from muxlearn._params import check_parameters
from muxlearn.nn.module import MuxModule
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.prediction import Planner
from muxlearn.rows import Reader
from muxlearn.tasks import ClassesTask, Task

__all__ = ["ReferenceMixin"]

Self = TypeVar("Self", bound="ReferenceMixin")


class ReferenceMixin(MuxEstimator):
    """`from_reference`, and what a model from there asks for."""

    backbone: str | os.PathLike
    learn_keys: bool
    max_length: int
    dropout: float
    # Of those that have no such parameter.
    tokenizer: Any = None

    #: What a published model has to classify: "sequence" or "token"; None where there is none.
    _reference_task: ClassVar[str | None] = None

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

        It computes what their code computes: the embedding layer runs on the rows and again on
        the mixture, padding is read like any token and every row is padded to `max_length`, and
        rows share mixtures in the order in which they come. Other than there, rows that fill no
        mixture are filled up with others of the same call, which count once. All else is as with
        a model of our own: smaller `n_mux`, where each row stands in several slots and their
        probabilities are averaged (the ensembling of MUX-PLMs), `groups`, `n_passes`, `save`.

        Parameters
        ----------
        name_or_folder : str or path
            A folder with ``config.json`` and ``pytorch_model.bin`` or ``model.safetensors``, or
            a name on the hub such as ``"princeton-nlp/datamux-mnli-20"``. DataMUX's and
            MUX-BERT's classifiers of sequences and tokens are understood, with every
            multiplexer and demultiplexer that they have. Nothing but tensors is unpickled.

        tokenizer : str, path, tokenizers.Tokenizer or fast tokenizer of transformers, default=None
            None takes the folder's. DataMUX's models were trained with that of ``roberta-base``,
            MUX-BERT's with that of ``bert-base-uncased``.

        classes : sequence of labels, default=None
            In the order of the model's outputs. None takes those of the configuration, or
            ``0, 1, …`` where it has none.

        revision : str, default=None
            Branch, tag or commit on the hub.

        cache_dir : str or path, default=None
            The hub's cache; None leaves it to HF_HOME.

        local_files_only : bool, default=False
            Whether to look into the cache only.

        device, dtype, **params
            Parameters of the estimator. Those that describe the model are read from it, and one
            that is given has to agree; `max_length` is 128, the authors' choice, or less where
            the model has fewer positions.

        Returns
        -------
        estimator
            Fitted. With ``warm_start=True`` `fit` trains the model further, on the same classes
            and at 5e-5 if `lr` is "auto". Otherwise `fit` begins anew, as always: with a model
            of our own of the sizes that the parameters say, and nothing of the loaded one.

        Raises
        ------
        OSError
            There is no such folder, neither here nor to be had from the hub.
        ValueError
            It holds no such checkpoint, one of another task, or one whose tensors are missing,
            left over or contradict the configuration or a parameter; or there is no tokenizer.
        """
        from muxlearn._published import load_published

        if cls._reference_task is None:
            raise TypeError(
                f"nothing that was published is a {cls.__name__}; load it with "
                "MuxTextClassifier.from_reference or MuxTokenTagger.from_reference"
            )
        estimator = cls(device=device, dtype=dtype, **params)
        check_parameters(estimator.get_params(deep=False), cls._constraints)
        estimator._device()
        published = load_published(
            name_or_folder,
            cls._reference_task,
            tokenizer=tokenizer,
            classes=classes,
            max_length=params.get("max_length"),
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
        described = published.params | cls._reference_params()
        for name, value in described.items():
            if name in params and params[name] != value:
                raise ValueError(
                    f"`{name}` is {params[name]!r}, but the model in {str(name_or_folder)!r} has "
                    f"{value!r}; leave it out"
                )
        estimator.set_params(**described)
        estimator._check_parameters()
        net = estimator._compose_net(published.module, max_epochs=0)
        net.initialize()
        estimator._set_fitted(
            reader=estimator._wrap(published.tokenizer, published.module),
            task=estimator._reference_task_of(published.classes),
            net=net,
            history=net.history,
            warm_up_history=None,
            plan_seed=0,
            structure=estimator._structure_params(),
        )
        return estimator

    @classmethod
    def _reference_params(cls) -> dict[str, Any]:
        """Return what this class's own parameters are for a published model."""
        return {}

    def _reference_task_of(self, classes: NDArray) -> Task:
        """Return the task of a published model."""
        return ClassesTask(classes)

    def _wrap(self, tokenizer: Any, module: MuxModule) -> Reader:
        """Return the reader around the tokenizer of a module."""
        raise NotImplementedError

    def _start_from_published(self, n_classes: int) -> tuple[Any, ReferenceTextModule] | None:
        """Build tokenizer and module where `backbone` is a published model, None elsewhere."""
        from muxlearn._published_backbone import find_published, start_from_published

        folder = find_published(self.backbone)
        if folder is None or self._reference_task is None:
            return None
        reader, module, described = start_from_published(
            folder,
            self._reference_task,
            n_classes=n_classes,
            n_mux=int(self.n_mux),
            tokenizer=self.tokenizer,
            max_length=int(self.max_length),
            dropout=self.dropout,
            learn_keys=bool(self.learn_keys),
        )
        for name in ("multiplexer", "demultiplexer"):
            value, default = getattr(self, name), signature(type(self)).parameters[name].default
            if value not in (default, described[name]):
                raise ValueError(
                    f"`{name}` is {value!r}, but `backbone` {str(self.backbone)!r} comes with its "
                    f"own, {described[name]!r}; leave it out"
                )
        return reader, module

    @property
    def _is_reference(self) -> bool:
        """Whether the fitted model, if there is one, is a published one."""
        return self.__sklearn_is_fitted__() and isinstance(self.module_, ReferenceTextModule)

    def _planner(self) -> Planner:
        return replace(super()._planner(), in_order=self._is_reference)
