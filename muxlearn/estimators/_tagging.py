"""The token tagger."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._params import Choice, Constraint, Instance, OneOf
from muxlearn.architectures import Architecture
from muxlearn.estimators import _points, _predicting, _text_reference, _texts
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._fitting import fit
from muxlearn.estimators._texts import TEXT_CONSTRAINTS, TextKind
from muxlearn.nn.module import MuxModule
from muxlearn.points import PointLike, PointsLike
from muxlearn.rows import SentenceReader, check_sentences
from muxlearn.tasks import TagsTask

__all__ = ["MuxTokenTagger"]


class _TaggerKind(TextKind):
    """The kind of the tagger; see `Kind`."""

    level = "token"
    window_rows = 2048

    def parts(self, estimator: Any) -> tuple[SentenceReader, TagsTask]:
        """Return reader and task of a prediction; both have parameters that `fit` does not fix."""
        reader = replace(estimator._reader, all_pieces=estimator.label_pieces == "all")
        return reader, replace(estimator._task, decode=estimator.decode)

    def wrap(self, estimator: Any, tokenizer: Any, module: MuxModule) -> SentenceReader:
        """Return the reader of sentences around the tokenizer of a module."""
        return SentenceReader(tokenizer, all_pieces=estimator.label_pieces == "all")

    def as_texts(self, rows: Iterable[Any]) -> Iterable[str]:
        """Return sentences as the texts that a tokenizer is trained on."""
        return (" ".join(row) for row in rows)

    def published_task(self, estimator: Any, classes: Any) -> TagsTask:
        """Return the task of a published model, which brings no tags of a training."""
        if estimator.decode == "learned":
            raise ValueError(
                "`decode` is 'learned', but a published model comes without the tags that it was "
                "trained on; take 'legal'"
            )
        return TagsTask.without_training(classes)


def _check_unlabeled(unlabeled: Iterable[Any]) -> list[list[str]]:
    rows = [row for row in check_sentences(unlabeled, name="unlabeled") if row]
    if not rows:
        raise ValueError("`unlabeled` has no token: every sentence is empty")
    return rows


@fill_docs(row="sentence", rows="sentences", n_rows="n_sentences", labels="tags")
class MuxTokenTagger(MuxEstimator):
    """Tag the tokens of sentences, `n_mux` sentences in one pass of the encoder.

    Tags are named entities, parts of speech or any other labels, one for each token. The tagger
    folds `n_mux` sentences into one sequence of vectors, runs the encoder once and unfolds the tags
    of each sentence (DataMUX [1]_). This costs accuracy and a longer training. A prediction depends
    on the sentences that share its mixture; a smaller `n_mux`, `n_passes` and `groups` limit this.

    Parameters
    ----------
    {n_mux}
    {patch_size}
        If both are "auto" and there are no `operating_points`, the packaged encoder reads two
        tokens in a position. Another gives (1, 5), or up to (5, 1) if it is warmed up for rows
        alone. A given `multiplexer` or `demultiplexer` gives (10, 1).
    architecture : {"tmux"} or TMUX, default="tmux"
        The network: the multiplexed Transformer of [1]_. A `muxlearn.architectures.TMUX` sets its
        less common parameters, searched as ``architecture__lexical_size``.
    {multiplexer}
    {demultiplexer}
    {backbone}
    max_length : int, default=128
        Maximum number of pieces that the encoder reads at a time. A longer sentence is cut into
        windows that overlap by half. Each token is tagged in the window whose ends are farthest.
    label_pieces : {"first", "all"}, default="first"
        Which pieces of a token that the tokenizer splits learn and predict its tag. "all"
        averages their predictions.
    decode : {"legal", "learned", None}, default=None
        None takes the most probable tag of each token. The others take the best sequence of tags
        for the sentence (Viterbi). "legal" needs tags in IOB2 or IOBES form and forbids steps that
        these do not allow (I-PER after B-LOC). "learned" also scores each step by how much more
        often than by chance the second tag followed the first in training.
    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and before the last layer.
    warm_up : int, "auto" or None, default="auto"
        Epochs of a training before the task in which the network learns to recover pieces of single
        sentences from the mixture ([1]_, eq. 3). "auto" is 5 for an encoder from scratch, a fifth
        of `max_epochs` for a trained one, and 0, as None, if it is warmed up. Always 0 at (1, 1).
    {operating_points}
        {operating_points.texts}
    {max_epochs}
        With 0 a warm-up (of 5 epochs for "auto") is all; without one, `fit` only initialises.
    {batch_size}
    {lr}
        "auto" is 5e-4 for an encoder from scratch, 2e-4 for the packaged one, 1e-4 for others. New
        layers around a trained encoder learn at five times its rate.
    {optimizer}
    {class_weight}
    {early_stopping}
    {validation_fraction}
    {warm_start}
    {dtype}
    {device}
    {compile}
    {callbacks}
    {random_state}
    {verbose}

    Attributes
    ----------
    {classes_}
    scheme_ : {"IOB2", "IOBES"} or None
        The form of the tags where they mark entities.
    {net_}
    module_ : torch.nn.Module
        The fitted module: takes `input_ids`, `attention_mask` and `tagged` of ``k * n_mux`` rows
        and returns the logits of the tagged pieces in the same order.
    {tokenizer_}
    {operating_point_}
    {trained_points_}
    {history_}
    {warm_up_history_}
    {measured_points_}
    {n_iter_}

    See Also
    --------
    muxlearn.metrics.entity_f1_score : The measure of `score` for entities.
    muxlearn.inspection.EntityDisplay : Sentences with their tags marked in colour.

    Notes
    -----
    The estimator tags do not call the tagger a classifier, since scikit-learn's checks for
    classifiers do not support lists of lists as targets. `cross_val_score`, `GridSearchCV`, `clone`
    and `Pipeline` work, with the splits of `KFold`.

    `from_reference` loads a tagger that the authors of [1]_ or [2]_ have published. If the names of
    its tags mark entities, they are assumed to follow each other legally.

    {notes.published}
    {notes.ensembling}

    References
    ----------
    .. [1] Murahari et al., DataMUX, NeurIPS 2022.
    .. [2] Murahari et al., MUX-PLMs, Findings of EMNLP 2023.

    Examples
    --------
    >>> from muxlearn import MuxTokenTagger
    >>> X = [["Ada", "lives", "in", "Paris"], ["Bo", "saw", "Rome"], ["It", "rained"]] * 8
    >>> y = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "B-LOC"], ["O", "O"]] * 8
    >>> tagger = MuxTokenTagger(batch_size=8, random_state=0).fit(X, y)
    >>> tagger.predict([["Bo", "lives", "in", "Paris"], []])
    [['B-PER', 'O', 'O', 'B-LOC'], []]
    """

    _kind = _TaggerKind()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **TEXT_CONSTRAINTS,
        "label_pieces": Choice("first", "all"),
        "decode": TagsTask.constraints["decode"],
        "class_weight": OneOf(
            None, Choice("balanced"), Instance((dict,), "a dict from tag to weight")
        ),
    }

    def __init__(
        self,
        n_mux: int | str = "auto",
        *,
        patch_size: int | str = "auto",
        architecture: str | Architecture = "tmux",
        multiplexer: str = "auto",
        demultiplexer: str = "auto",
        backbone: Any = None,
        max_length: int = 128,
        label_pieces: str = "first",
        decode: str | None = None,
        dropout: float = 0.1,
        warm_up: int | str | None = "auto",
        operating_points: PointsLike | None = None,
        max_epochs: int = 5,
        batch_size: int = 32,
        lr: float | str = "auto",
        optimizer: Any = None,
        class_weight: dict | str | None = None,
        early_stopping: bool | int = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        dtype: str = "auto",
        device: Any = "auto",
        compile: bool = False,
        callbacks: list | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_mux = n_mux
        self.patch_size = patch_size
        self.architecture = architecture
        self.multiplexer = multiplexer
        self.demultiplexer = demultiplexer
        self.backbone = backbone
        self.max_length = max_length
        self.label_pieces = label_pieces
        self.decode = decode
        self.dropout = dropout
        self.warm_up = warm_up
        self.operating_points = operating_points
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = False
        tags.target_tags.required = True
        return tags

    def fit(
        self,
        X: Iterable[Any],
        y: Iterable[Any],
        sample_weight: ArrayLike | None = None,
        unlabeled: Iterable[Any] | None = None,
        *,
        checkpoint: str | os.PathLike | None = None,
    ) -> MuxTokenTagger:
        """Fit the model to sentences and their tags.

        Parameters
        ----------
        X : sequence of sequences of str, length n_sentences
            The tokens of each sentence: lists, arrays, a column of lists of pandas, polars,
            pyarrow or `datasets`, or a frame with one such column. A sentence may be empty.

        y : sequence of sequences of tags, length n_sentences
            One tag for each token: strings, numbers or bools.

        {fit.sample_weight}

        unlabeled : sequence of sequences of str, default=None
            Sentences for the warm-up, and for the tokenizer if one is trained; None stands for
            `X`. Where neither reads them, as with the packaged encoder, a warning says so.

        {fit.checkpoint}

        Returns
        -------
        {fit.returns}

        Raises
        ------
        TypeError, ValueError
            A parameter, a sentence or a tag is not valid, tokens and tags differ in number,
            there is no token at all, or the checkpoint is of another training.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        task, training_set = TagsTask.learn(check_sentences(X), y, sample_weight, self.class_weight)
        if self.decode == "legal" and task.scheme is None:
            raise ValueError(
                "`decode` is 'legal', but the tags of `y` are in neither IOB2 nor IOBES form, so "
                "that every step is legal; leave it out, or take 'learned'"
            )
        if unlabeled is not None:
            unlabeled = _check_unlabeled(unlabeled)
        build = partial(self._kind.build, self, unlabeled=unlabeled)
        fit(self, training_set, task, build, unlabeled=unlabeled, checkpoint=checkpoint)
        return self

    @property
    def scheme_(self) -> str | None:
        """The form of the tags where they mark entities, "IOB2" or "IOBES"; None for others."""
        check_is_fitted(self)
        return self._task.scheme

    def predict(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> list[list[Any]]:
        """Predict the tags of sentences.

        Parameters
        ----------
        {predict.X}

        {predict.n_mux}

        {predict.groups}

        {predict.n_passes}

        {predict.patch_size}

        Returns
        -------
        list of list, as long as the sentences of `X`
            One tag for each token, in order.
        """
        return self.predictor_.predict(X, n_mux, groups, n_passes, patch_size=patch_size)

    def predict_proba(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> list[NDArray[np.float64]]:
        """Predict the probabilities of the tags.

        Parameters
        ----------
        {predict.X}

        {predict.n_mux}

        {predict.groups}

        {predict.n_passes}

        {predict.patch_size}

        Returns
        -------
        list of ndarray, each (n_tokens, n_tags)
            One array for each sentence, columns in the order of `classes_`. `decode` has no
            part in them.
        """
        return self.predictor_.predict(
            X, n_mux, groups, n_passes, "predict_proba", patch_size=patch_size
        )

    def predict_log_proba(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> list[NDArray[np.float64]]:
        """Predict the logarithms of the tags' probabilities.

        Parameters
        ----------
        {predict.X}

        {predict.n_mux}

        {predict.groups}

        {predict.n_passes}

        {predict.patch_size}

        Returns
        -------
        list of ndarray, each (n_tokens, n_tags)
            As `predict_proba`. None is infinite, however small a probability.
        """
        return self.predictor_.predict(
            X, n_mux, groups, n_passes, "predict_log_proba", patch_size=patch_size
        )

    def decision_function(
        self,
        X: Iterable[Any],
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> list[NDArray[np.float64]]:
        """Return log-probabilities, or with two tags the log odds of the second.

        Parameters
        ----------
        {predict.X}

        {predict.n_mux}

        {predict.groups}

        {predict.n_passes}

        {predict.patch_size}

        Returns
        -------
        list of ndarray, each (n_tokens, n_tags), or (n_tokens,) with two tags
            One array for each sentence, columns in the order of `classes_`. `decode` has no
            part in them.
        """
        return self.predictor_.predict(
            X, n_mux, groups, n_passes, "decision_function", patch_size=patch_size
        )

    def score(
        self,
        X: Iterable[Any],
        y: Iterable[Any],
        sample_weight: ArrayLike | None = None,
        n_mux: PointLike | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        patch_size: int | None = None,
    ) -> float:
        """Return the F1 score of entities where the tags mark such, else the tokens' accuracy.

        Parameters
        ----------
        {predict.X}

        y : sequence of sequences of tags
            The true tags. A tag that was not in the training is never predicted, which a warning
            says.

        {score.sample_weight}

        {predict.n_mux}

        {predict.groups}

        {predict.n_passes}

        {predict.patch_size}

        Returns
        -------
        float
            Micro-averaged F1 of whole entities if `scheme_` is not None
            (`muxlearn.metrics.entity_f1_score`), or the share of tokens with the right tag.

        Raises
        ------
        TypeError, ValueError
            A sentence or a tag is not valid, tokens and tags differ in number, or no token
            counts.
        """
        return self.predictor_.score(
            X, y, sample_weight, n_mux, groups, n_passes, patch_size=patch_size
        )

    predict_iter = _predicting.predict_iter
    predict_dataset = _predicting.predict_dataset
    measure_operating_points = _points.measure_operating_points
    fastest_point = _points.fastest_point
    measured_points_ = property(_points.measured_points)
    from_reference: Any = classmethod(_text_reference.from_reference)
    tokenizer_ = property(_texts.tokenizer)
    warm_up_history_ = property(_texts.warm_up_history)
