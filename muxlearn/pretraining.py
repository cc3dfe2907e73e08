"""Training before a task, on texts without labels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast, get_args

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint, Instance, OneOf, PathName
from muxlearn.architectures import Architecture, Built, flatten
from muxlearn.backbones import SCRATCH, Pretrained, Scratch, load_backbone
from muxlearn.estimators import (
    TEXT_CONSTRAINTS,
    MuxEstimator,
    TextKind,
    ask_about,
    check_checkpoint,
    fit_transform,
    make_trainer,
    prepare_pretraining,
    seed_of,
    transform,
    warn_of_interruption,
)
from muxlearn.metrics import retrieval_score
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.module import MuxModule
from muxlearn.persistence import encode_params
from muxlearn.points import PointLike, PointsLike
from muxlearn.rows import TokenTable, check_single_texts
from muxlearn.tasks import Task, VectorsTask
from muxlearn.training.checkpoints import fingerprint_of, open_stage
from muxlearn.training.data import MixtureData
from muxlearn.training.devices import seeded
from muxlearn.training.objectives import Objective
from muxlearn.training.pretraining_tasks import (
    OBJECTIVES,
    PretrainingTask,
    check_task,
    make_objective,
    make_pretraining_task,
)
from muxlearn.training.processes import n_processes
from muxlearn.training.schedules import TrapezoidSchedule
from muxlearn.training.teacher import TeacherAnswers
from muxlearn.training.trainer import copy_callbacks

if TYPE_CHECKING:
    from muxlearn.rows import RowTable
    from muxlearn.training.net import MuxNet

__all__ = ["MuxTextPretrainer"]

#: Parameters that may change before a training is taken up again.
_FREE = (
    *("max_epochs", "cache"),
    *("callbacks", "compile", "device", "random_state", "verbose"),
)
#: Of the training's states.
_STAGE = "checkpoint"


class _PretrainerKind(TextKind):
    """The kind of the pretrainer."""

    level = "vector"

    def objective(self, estimator: Any, module: MuxModule, task: Task) -> Objective:
        """Return an objective without answers: a module that was trained before only predicts."""
        return estimator._objective()


@fill_docs(row="text", rows="texts")
class MuxTextPretrainer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MuxEstimator):
    """Warm up a multiplexed text encoder on texts without labels.

    A new network must first learn to keep the rows of a mixture apart. The pretrainer does this
    training once. The result serves as the `backbone` of any number of classifiers and taggers.
    With a teacher, the network also learns to read: its vector of each row is trained to match the
    teacher's vector of that row alone (distillation).

    Parameters
    ----------
    {n_mux}
    {patch_size}
        If both are "auto", ten tokens share a position: (1, 10), or what a `backbone` was warmed
        up for before. A given `multiplexer` or `demultiplexer` means ten texts.
    objective : {"distillation", "retrieval", "both", "mlm", "rtd"} or object, \
            default="distillation"
        The training task. An object of `muxlearn.training` sets the weights of the losses.

        - "distillation", `Distillation`: to predict the teacher's vector of each text and of each
          token.
        - "retrieval": to recover the tokens of single texts from the mixture (DataMUX [1]_, eq. 3).
        - "both": both tasks at once.
        - "mlm", `MaskedTokens`: to predict masked tokens (MUX-PLMs [2]_, after retrieval).
        - "rtd", `ReplacedTokens`: to tell replaced tokens (MUX-ELECTRA [2]_).
    teacher : str or path, default=None
        The teacher of the distillation: a folder, or a name on the hub, of an encoder of the
        `transformers` library. The vector of a text is the mean of its tokens' vectors. A new
        encoder uses the teacher's tokenizer, and its token table starts from the principal
        components of the teacher's.
    backbone : str, path, Scratch or None, default="scratch"
        The encoder to warm up.

        - "scratch" or `muxlearn.backbones.Scratch`: a new encoder.
        - A folder, or a name on the hub, of an encoder of the `transformers` library. It keeps its
          size and its cost, and learns to read mixtures. If it is its own `teacher`, its vector of
          a text in a mixture is trained to match its vector of that text alone.
        - A folder that a `MuxTextPretrainer` was saved to, or None, the packaged encoder. Its
          training continues on your texts.

        A `teacher` must have the same vocabulary as the encoder.
    architecture : {"tmux"} or TMUX, default="tmux"
        The network around the encoder, see `muxlearn.architectures.TMUX`.
    {multiplexer}
    {demultiplexer}
        With "subspace" and "rsa", a row that fills several slots is read from all of them at once:
        the fewer rows there are, the more of the mixture each one uses.
    max_length : int, default=128
        Maximum number of tokens of a text. The rest is cut off.
    dropout : float, default=0.0
        Dropout of the encoder's hidden vectors.
    {operating_points}
        {operating_points.texts}
    max_epochs : int, default=10
        Epochs of ``n_samples / batch_size`` steps each.
    {batch_size}
    lr : float or "auto", default="auto"
        Peak learning rate. It is reached after 200 steps and falls linearly to 0 over the last
        three tenths of the steps. "auto" is 1e-3 for a new encoder and 2e-4 for one that is
        trained already, where new layers learn at five times the encoder's rate.
    cache : str or path, default=None
        A folder that keeps the teacher's vectors, so that another training on the same texts can
        reuse them. None keeps them in memory.

    {optimizer}
    {dtype}
    {device}
    {compile}
    {callbacks}
    {random_state}
    {verbose}

    Attributes
    ----------
    {net_}
    module_ : torch.nn.Module
        The fitted module: takes `input_ids` and `attention_mask` of ``k * n_mux`` rows and
        returns their vectors in the same order, of the teacher's size; without a teacher they have
        `hidden_size` dimensions.
    {tokenizer_}
    {operating_point_}
    {trained_points_}
    history_ : skorch.history.History
        For each epoch: `train_loss`; the cosine to the teacher's vectors of texts (`cosine`, and
        without the lexical path `mixed_cosine`) and of tokens (`token_cosine`); how often a text's
        own vector is the nearest of its batch (`chosen_acc`); the share of tokens that were
        recovered (`retrieval_acc`), of masked tokens that were predicted (`mlm_acc`), and of
        tokens that were rightly called replaced or original (`rtd_acc`).
    {n_iter_}

    References
    ----------
    .. [1] V. Murahari, C. E. Jimenez, R. Yang, K. Narasimhan, "DataMUX: Data Multiplexing for
       Neural Networks", NeurIPS 2022.
    .. [2] V. Murahari et al., "MUX-PLMs: Data Multiplexing for High-throughput Language Models",
       Findings of EMNLP 2023.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.pretraining import MuxTextPretrainer
    >>> texts = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 8
    >>> from muxlearn.backbones import Scratch
    >>> small = Scratch(hidden_size=32, num_hidden_layers=1, vocab_size=300)
    >>> pretrainer = MuxTextPretrainer(n_mux=2, objective="retrieval", backbone=small,
    ...                                max_epochs=2, batch_size=8, random_state=0).fit(texts)
    >>> pretrainer.transform(texts[:3]).shape
    (3, 32)
    >>> clf = MuxTextClassifier(n_mux=2, backbone=pretrainer, max_epochs=40, batch_size=8,
    ...                         random_state=0).fit(texts, ["weather", "sport"] * 16)
    >>> clf.predict(["rain and wind", "a late equaliser"]).tolist()
    ['weather', 'sport']
    """

    _kind = _PretrainerKind()
    _constraints: ClassVar[dict[str, Constraint]] = {
        name: constraint
        for name, constraint in {
            **TEXT_CONSTRAINTS,
            "objective": OneOf(
                Choice(*OBJECTIVES),
                Instance(get_args(PretrainingTask), "an object of muxlearn.training"),
            ),
            "teacher": OneOf(None, PathName()),
            "backbone": OneOf(None, PathName(), Instance((Scratch,), "Scratch(…)")),
            "cache": OneOf(None, PathName("the name of a folder")),
        }.items()
        if name not in ("warm_up", "warm_start", "early_stopping", "validation_fraction")
    }

    def __init__(
        self,
        n_mux: int | str = "auto",
        *,
        patch_size: int | str = "auto",
        objective: str | PretrainingTask = "distillation",
        teacher: str | os.PathLike | None = None,
        backbone: str | os.PathLike | Scratch | None = SCRATCH,
        architecture: str | Architecture = "tmux",
        multiplexer: str = "auto",
        demultiplexer: str = "auto",
        max_length: int = 128,
        dropout: float = 0.0,
        operating_points: PointsLike | None = None,
        max_epochs: int = 10,
        batch_size: int = 64,
        lr: float | str = "auto",
        optimizer: Any = None,
        cache: str | os.PathLike | None = None,
        dtype: str = "auto",
        device: Any = "auto",
        compile: bool = False,
        callbacks: list | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_mux = n_mux
        self.patch_size = patch_size
        self.objective = objective
        self.teacher = teacher
        self.backbone = backbone
        self.architecture = architecture
        self.multiplexer = multiplexer
        self.demultiplexer = demultiplexer
        self.max_length = max_length
        self.dropout = dropout
        self.operating_points = operating_points
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.cache = cache
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Iterable[str],
        y: Any = None,
        *,
        checkpoint: str | os.PathLike | None = None,
    ) -> MuxTextPretrainer:
        """Learn from texts.

        Parameters
        ----------
        X : sequence of str, length n_samples
            The texts, as `MuxTextClassifier.fit` takes them.

        y : Ignored
            For pipelines.

        {fit.checkpoint}
            With a larger `max_epochs` it goes on where it has ended.

        Returns
        -------
        {fit.returns}

        Raises
        ------
        TypeError, ValueError
            A parameter or a text is not valid, the checkpoint is of another training, or several
            processes train (`muxlearn.parallel`).
        OSError
            `teacher` or `backbone` cannot be loaded, or the disk of `checkpoint` or `cache` is
            full.
        """
        self._check_parameters()
        check_task(self.objective, self.teacher, self.cache)
        if n_processes() > 1:
            raise ValueError(
                "a MuxTextPretrainer trains on one process; call `fit` outside of train_with"
            )
        check_checkpoint(checkpoint)
        rows = check_single_texts(X)
        seed = seed_of(self, checkpoint, [_STAGE])
        with seeded(seed, self._device()):
            built, table, answers = prepare_pretraining(self, rows)
            net = self._pretrain(built, table, answers, seed, checkpoint)
        cast(MuxSequenceEmbedder, built.module).replacement_head = None
        self._set_fitted(
            reader=built.reader,
            task=VectorsTask(),
            net=net,
            history=net.history,
            warm_up_history=None,
            plan_seed=seed,
            structure=self._structure_params(),
        )
        warn_of_interruption(self, net.interrupted_)
        return self

    transform = transform
    fit_transform = fit_transform

    def score(self, X: Iterable[str], y: Any = None, n_mux: PointLike | None = None) -> float:
        """Return how well the encoder reads texts from mixtures; higher is better.

        Parameters
        ----------
        X : sequence of str, length n_samples
            Texts, preferably none of the training.

        y : Ignored
            For searches and pipelines.

        {transform.n_mux}

        Returns
        -------
        float
            With a teacher the mean cosine between its vectors of the texts and those of
            `transform`, 1 at most. Without one the share of the texts' tokens that are recovered,
            as `muxlearn.metrics.retrieval_score` has it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            There is nothing to score.
        TypeError, ValueError
            A text or `n_mux` is not valid.
        OSError
            `teacher` cannot be loaded any more.
        """
        check_is_fitted(self)
        if self.teacher is None:
            return retrieval_score(self, X, n_mux)
        rows = self._reader.check(X)
        vectors = self.transform(rows, n_mux)
        teacher, _ = load_backbone(self.teacher, dropout=0.0, parameter="teacher")
        _, answers = ask_about(self, teacher, self.tokenizer_, rows, with_tokens=False)
        wanted = np.asarray(answers.rows, np.float64)
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)  # half precision rounds it
        return float((vectors * wanted).sum(1).mean())

    @property
    def _n_features_out(self) -> int:
        """Size of a vector, for `get_feature_names_out`."""
        return cast(MuxSequenceEmbedder, self.module_).vector_size

    @property
    def tokenizer_(self) -> Any:
        """The tokenizer."""
        check_is_fitted(self)
        return self._reader.tokenizer

    # Training

    def _pretrain(
        self,
        built: Built,
        table: RowTable,
        answers: TeacherAnswers | None,
        seed: int,
        checkpoint: str | os.PathLike | None,
    ) -> MuxNet:
        """Train, from the state of `checkpoint` on where there is one."""
        module, rows = built.module, np.arange(len(table))
        params = flatten(self.get_params(deep=False))
        keep = None
        if checkpoint is not None:
            tokens = cast(TokenTable, table).flatten(rows)
            more = {"seed": seed, "taught by": None if answers is None else answers.teacher}
            fingerprint = fingerprint_of({**params, **more}, table.lengths, tokens, free=_FREE)
            keep = open_stage(checkpoint, fingerprint, _STAGE, seed)
        return make_trainer(self, self._setting(), built.architecture, module).train(
            module,
            self._objective(answers, built.reader.tokenizer),
            MixtureData(table, rows, np.ones(len(rows), np.float32)),
            seed=seed,
            description="pre-training",
            max_epochs=self.max_epochs,
            keep=keep,
            schedule=TrapezoidSchedule,
            callbacks=copy_callbacks(self.callbacks),
        )

    def _objective(self, answers: TeacherAnswers | None = None, tokenizer: Any = None) -> Objective:
        samples = self._make_architecture().get_params()["retrieval_samples"]
        task, words = make_pretraining_task(self.objective), self._setting().with_words
        return make_objective(task, answers, tokenizer, samples, words)

    def as_pretrained(self) -> Pretrained:
        """Return what a classifier or tagger with this as its `backbone` starts from."""
        return Pretrained.from_saved(
            "`backbone`",
            {"structure": encode_params(self._structure), **self._module_config()},
            {name: t.detach().cpu() for name, t in self.module_.state_dict().items()},
            self.tokenizer_.to_str(),
        )
