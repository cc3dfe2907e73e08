"""Published checkpoints as networks: they go on from their weights, with their arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from muxlearn.architectures._base import (
    NO_DECAY,
    Architecture,
    Built,
    ParamGroups,
    Setting,
    WarmUp,
)
from muxlearn.architectures._checkpoints import (
    FAMILIES,
    LOADERS,
    build_model,
    checked_length,
    described,
    family_of,
    fit_tokenizer,
    make_reader,
    read_authors_config,
    task_of,
)
from muxlearn.architectures._retrieval import RETRIEVAL_WEIGHT, RetrievalObjective
from muxlearn.backbones import Backbone, Named, Published, find_published, make_backbone
from muxlearn.nn.module import MuxModule
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.persistence import read_weights
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["PublishedNetwork", "find_checkpoint"]

#: The learning rate of a published model that is trained further (DataMUX and MUX-PLMs).
_LR = 5e-5

#: The new head learns this many times faster.
_FRESH_LR_FACTOR = 5.0


class PublishedNetwork(Architecture):
    """The network of a checkpoint of DataMUX or MUX-PLMs; no user constructs it.

    `TMUX` builds one where `backbone` is such a checkpoint, and `from_reference` loads one.

    Parameters
    ----------
    learn_keys : bool, default=True
        Whether to train the multiplexer's keys if the checkpoint's were trained.
    retrieval_weight : float or "auto", default="auto"
        Weight of the retrieval loss beside the task's. "auto" is 0.1.
    retrieval_samples : int, default=32
        Tokens of each mixture that the retrieval loss uses in a step.
    """

    name = "published"

    def __init__(
        self,
        *,
        learn_keys: bool = True,
        retrieval_weight: float | str = "auto",
        retrieval_samples: int = 32,
    ) -> None:
        self.learn_keys = learn_keys
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples

    def build_from(self, folder: Path, tokenizer: Any, setting: Setting, n_outputs: int) -> Built:
        """Build a model that starts from a checkpoint and has a new head.

        Parameters
        ----------
        folder : Path
            As `find_published` returns it.
        tokenizer : tokenizers.Tokenizer or None
            None takes the folder's.
        setting : Setting
            Its `n_mux` must be that of the checkpoint, and its dropout takes the place of the
            checkpoint's own.
        n_outputs : int

        Returns
        -------
        Built

        Raises
        ------
        ValueError
            The checkpoint is one of another task or of another number of slots, it is to share
            positions, or its files are missing or contradict each other.
        """
        params, task = setting.params, setting.task
        label = make_backbone(params["backbone"]).label
        if task == "vector":
            raise ValueError(
                f"{label} is a published multiplexed model, which is warmed up; give it to a "
                "MuxTextClassifier"
            )
        if setting.patch_sizes != (1,) or setting.with_words:
            raise ValueError(
                f"{label} is a published multiplexed model, which gives every token a position of "
                "its own; leave `patch_size` out, and pairs and 'words' of `operating_points`"
            )
        config, tensors = read_authors_config(folder), read_weights(folder)
        start, family = family_of(folder, tensors)
        _check_start(folder, config, tensors, start, task)
        advice = (
            f"save it there with transformers.AutoTokenizer.from_pretrained({family.tokenizer!r})"
            ".save_pretrained(folder)"
        )
        if task == "sequence":
            advice += ", or give it as `tokenizer`, a tokenizers.Tokenizer"
        reader = make_reader(folder, tokenizer, family, advice, {})
        config = {
            **config,
            "hidden_dropout_prob": params["dropout"],
            "attention_probs_dropout_prob": 0.0,
            "learn_muxing": bool(config.get("learn_muxing")) and bool(self.learn_keys),
        }
        model, config, kinds = build_model(folder, config, tensors, start, family, task, n_outputs)
        if setting.n_mux != model.n_mux:
            raise ValueError(
                f"`n_mux` is {setting.n_mux}, but the checkpoint in {str(folder)!r} was trained "
                f"with {model.n_mux} slots; set n_mux={model.n_mux}, and predict with fewer if you "
                "like"
            )
        length = checked_length(folder, model, int(params["max_length"]))
        fit_tokenizer(folder, reader, model.backbone.config.vocab_size, length)
        module = ReferenceTextModule(model, config, kinds, length)
        own = described(module, kinds)
        for name in ("multiplexer", "demultiplexer"):
            if params[name] not in (setting.defaults[name], own[name]):
                raise ValueError(
                    f"`{name}` is {params[name]!r}, but `backbone` {str(params['backbone'])!r} "
                    f"comes with its own, {own[name]!r}; leave it out"
                )
        return Built(reader, module, self)

    def config(self, module: MuxModule) -> dict[str, Any]:
        """Return what `rebuild` needs to know of a module."""
        assert isinstance(module, ReferenceTextModule)
        return {"reference": module.setting}

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build a module as it was saved."""
        if (n_classes := config["reference"]["kinds"]["n_classes"]) != n_outputs:
            raise ValueError(f"`labels` are {n_outputs}, but the model has {n_classes} classes")
        module = ReferenceTextModule.from_setting(config["reference"])
        available = module.model.max_length - module.model.n_prefix
        if module.length > available:
            raise ValueError(
                f"`reference.length` is {module.length}, but the model has {available} positions"
            )
        return module

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return the rate that the authors chose."""
        return _LR

    def param_groups(self, setting: Setting, module: MuxModule, lr: float) -> ParamGroups:
        """Let the new head learn faster."""
        fresh = {"lr": _FRESH_LR_FACTOR * lr}
        groups: ParamGroups = [
            ("model.head.*bias", {"weight_decay": 0.0, **fresh}),
            ("model.head.*", fresh),
        ]
        return [*groups, *((pattern, {"weight_decay": 0.0}) for pattern in NO_DECAY), ("*", {})]

    def warm_up(
        self, setting: Setting, module: MuxModule, task: Task, *, asked_for: bool
    ) -> WarmUp | None:
        """Recover tokens only on request, since a checkpoint has learned that."""
        if setting.n_mux == 1 or not asked_for:
            return None
        return WarmUp(RetrievalObjective(task, 0.0, 1.0, self.retrieval_samples))

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return the task's loss, with the retrieval task beside it."""
        auto = self.retrieval_weight == "auto"
        weight = RETRIEVAL_WEIGHT if auto else float(self.retrieval_weight)
        return RetrievalObjective(
            task, 1.0, weight if setting.n_mux > 1 else 0.0, self.retrieval_samples
        )


def find_checkpoint(backbone: Backbone) -> tuple[Path, Any] | None:
    """Return the folder of the checkpoint that a backbone is, and the tokenizer given with it.

    Parameters
    ----------
    backbone : Backbone

    Returns
    -------
    (Path, tokenizers.Tokenizer or None) or None
        None where the backbone is no published checkpoint.
    """
    if isinstance(backbone, Published):
        name, tokenizer = backbone.checkpoint, backbone.tokenizer
    elif isinstance(backbone, Named) and not backbone.is_ours:
        name, tokenizer = backbone.name, None
    else:
        return None
    folder = find_published(name)
    return None if folder is None else (folder, tokenizer)


def _check_start(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    start: str,
    task: str,
) -> None:
    """Refuse a classifier of another task.

    DataMUX's warm-up left sequence classifiers behind, which say nothing of the task to come.
    """
    found = task_of(config, tensors)
    warm_up = FAMILIES[start].name == "DataMUX" and found == "sequence"
    if found in (None, "words", task) or warm_up:
        return
    raise ValueError(
        f"`backbone` {str(folder)!r} holds a {found} classifier, from which no {task} classifier "
        "can start; give a checkpoint that is pre-trained alone, or load this one with "
        f"{LOADERS[found]}.from_reference"
    )
