"""The token tagger."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from muxlearn._params import Choice, Constraint, Instance, Integer, OneOf
from muxlearn._text_base import STRUCTURE, MuxTextEstimator
from muxlearn.metrics import entity_f1_score
from muxlearn.nn.demultiplex import Demultiplexer
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.nn.multiplex import Multiplexer
from muxlearn.nn.tagging import MuxTokenClassifier
from muxlearn.rows import (
    RowTable,
    check_sentences,
    check_sequences,
    check_tags,
    check_tags_fit,
    check_weights,
    cut_windows,
    end_mask,
    iterate_sentences,
    n_illegal_steps,
    number_tags,
    row_weights,
    start_mask,
    tag_scheme,
    take_rows,
    training_order,
    transition_mask,
)
from muxlearn.tasks import StepScores, transition_scores, viterbi_many

if TYPE_CHECKING:
    from muxlearn.pretraining import MuxTextPretrainer

__all__ = ["MuxTokenTagger"]


class SentenceScores(NamedTuple):
    """Scores of the tags of some sentences.

    Attributes
    ----------
    log_proba : ndarray of shape (n_tokens, n_tags)
        Of all sentences, one after the other.
    lengths : ndarray of int64, shape (n_sentences,)
    """

    log_proba: NDArray[np.float64]
    lengths: NDArray[np.int64]


class MuxTokenTagger(MuxTextEstimator):
    """Tag the tokens of sentences, `n_mux` sentences in one pass of the encoder.

    Named entities, parts of speech, or any other tags, one for each token. `n_mux` sentences are
    folded into one sequence of vectors, the encoder runs once, and the tags of each sentence's own
    tokens are unfolded (DataMUX [1]_). The price is accuracy and a longer training. A prediction
    depends on the sentences that share the mixture; `groups`, `n_passes` and a smaller `n_mux` at
    prediction are the ways out.

    Parameters
    ----------
    n_mux : int, default=10
        Number of sentences in a mixture: the slots of the model, its capacity. 1 is the plain
        encoder without multiplexer and demultiplexer.

    architecture : {"tmux"}, default="tmux"
        The multiplexed Transformer of [1]_.

    multiplexer : {"subspace", "hadamard", "orthogonal", "binary", "identity", "contextual"}, \
            default="subspace"
        How the sentences of a mixture are marked before they are added up.

        - "subspace": every slot writes into dimensions of its own through a learned projection;
          costs nothing at prediction.
        - "hadamard": elementwise product with a Gaussian key ([1]_, section 3.1).
        - "orthogonal": product with a random orthogonal matrix ([1]_, section 3.1).
        - "binary": every slot keeps its own stretch of the dimensions ([1]_).
        - "identity": no mark at all, the ablation.
        - "contextual": attention over the tokens of each sentence, a Gaussian key, and attention
          over the slots at each position ([2]_, section 3). Both layers run on every slot and
          not once for the mixture, so that the speed-up stays below half the number of the
          encoder's layers at any `n_mux`.

    demultiplexer : {"rsa", "index", "mlp"}, default="rsa"
        How a slot's vector is recovered.

        - "rsa": a network shared by all slots that is given a learned key of the slot ([2]_).
        - "index": `n_mux` prefix positions carry the slots' keys through the encoder ([1]_,
          section 3.3); slower, since sequences grow by `n_mux`.
        - "mlp": a layer of its own for each slot ([1]_, section 3.3).

    demux_layers : int, default=1
        Hidden layers of "rsa"; of no use to the other demultiplexers. More than one start as if
        they were one, and take time for each slot that is read.

    learn_keys : bool, default=True
        Whether the multiplexer is trained or stays as drawn. The layers of "contextual" are trained
        in any case.

    backbone : str, path or MuxTextPretrainer, default=None
        The encoder.

        - None: the packaged one, English, warmed up for mixtures of up to 20 sentences (see
          `muxlearn.box`). It does not tell upper case from lower.
        - "scratch": a compact one of the sizes below, trained from nothing with a tokenizer
          trained on the sentences.
        - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one. Within
          `GridSearchCV` and whatever else clones, wrap it in `sklearn.frozen.FrozenEstimator`.
        - A folder, or a name on the hub, of an encoder of the `transformers` library with its
          tokenizer (BERT, RoBERTa, DistilBERT, ELECTRA, MiniLM, ModernBERT, …).
        - A folder, or a name on the hub, of what the authors of [1]_ (retrieval warm-up) or of [2]_
          (MUX-BERT) have pre-trained on mixtures. It is known by its tensors, and brings its
          multiplexer and demultiplexer along; see the notes.

    hidden_size : int, default=256
        Width of the encoder for ``backbone="scratch"``. Any other has sizes of its own.

    num_hidden_layers : int, default=4
        Layers of the compact encoder.

    num_attention_heads : int, default=4
        Attention heads of the compact encoder; has to divide `hidden_size`.

    intermediate_size : int, default=None
        Width of its feed-forward layers, None for ``4 * hidden_size``.

    vocab_size : int, default=8000
        Size of the vocabulary that is trained for the compact encoder, at least 259 (the bytes
        and three special tokens).

    max_length : int, default=128
        Pieces that the encoder reads at a time. A longer sentence is cut into windows that
        overlap by half, and each token is tagged where it stands farthest from a window's ends.

    label_pieces : {"first", "all"}, default="first"
        Which pieces of a token, where the tokenizer cuts it up, learn its tag and are asked for
        it. The answers of "all" are averaged.

    lexical_size : int, default=64
        Width of a path past the mixture: narrow vectors of a token and its neighbours go from
        the sentence to the demultiplexer, so that the mixture need not carry which tokens a
        sentence holds. 0 leaves it out, as DataMUX does. Our own; not used at ``n_mux=1``
        but with an encoder of this library that has learned to read mixtures.

    decode : {"viterbi", None}, default=None
        None takes the most probable tag of each token. "viterbi" takes the best sequence of
        tags for the sentence, given the scores of `transitions`.

    transitions : {"legal", "learned"}, default="legal"
        What a step from one tag to the next counts with ``decode="viterbi"``. "legal": nothing,
        or minus infinity where tags in IOB2 or IOBES form may not follow each other (I-PER after
        B-LOC). "learned": besides, how much more often than by chance the one followed the
        other in training.

    dropout : float, default=0.1
        Dropout of the encoder's hidden vectors and before the last layer; attention weights
        are not dropped.

    warm_up : {"auto", "retrieval", None}, default="auto"
        Training before the task. "retrieval": recover the pieces of single sentences from the
        mixture ([1]_, eq. 3). "auto" is the same, and nothing where `backbone` comes warmed up.
        Not done at ``n_mux=1``, where nothing has to be told apart.

    warm_up_epochs : int, default=5
        Epochs of the warm-up.

    retrieval_weight : float or "auto", default="auto"
        Weight of the retrieval loss beside the task's ([1]_, eq. 4). "auto" is 0.1, and 0 where
        `backbone` comes warmed up.

    retrieval_samples : int, default=32
        Pieces of each mixture that the retrieval loss looks at in a step, at least one a slot.

    operating_points : tuple of int, default=None
        Values of `n_mux` that the model is trained for, each in its share of the steps, so that
        one model serves all of them. None trains at `n_mux` alone. `predict` takes any value up
        to `n_mux` all the same.

    max_epochs : int, default=10
        Epochs of the training. An epoch has ``n_samples / batch_size`` steps whatever `n_mux`
        is, so that each sentence is seen `n_mux` times an epoch, each time among others. 0
        leaves it at the warm-up, and with ``warm_up=None`` builds and initialises the model
        without any training.

    batch_size : int, default=32
        Mixtures in a batch, in training and prediction.

    lr : float or "auto", default="auto"
        Peak learning rate of AdamW, reached after a tenth of the steps; falls linearly to 0.
        "auto" is 5e-4 for an encoder from nothing or of this library and 1e-4 for one of
        `transformers`. What is new then trains at five times the rate of what is not.

    weight_decay : float, default=0.01
        Decay of weight matrices.

    class_weight : dict, "balanced" or None, default=None
        Weights of the tags in the loss; "balanced" makes every tag count the same.

    early_stopping : bool, default=False
        Whether to set a part of the sentences aside, stop when the loss on it does not
        improve any more, and keep the best weights. The operating points are measured on it
        then, see `operating_points_`, which takes the time of a few predictions of that part.

    validation_fraction : float, default=0.1
        The part set aside with `early_stopping`.

    n_iter_no_change : int, default=3
        Epochs without improvement before `early_stopping` ends the training.

    warm_start : bool, default=False
        Whether `fit` goes on from the last one: same tokenizer, weights and classes, no second
        warm-up.

    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of prediction, and of the products in training. "auto" is bfloat16 on a GPU and
        float32 elsewhere. "float16" needs a GPU and trains in bfloat16.

    device : str or torch.device, default="auto"
        "auto" takes a GPU where there is one.

    compile : bool, default=False
        Whether prediction runs through `torch.compile`. Needs a C++ compiler, and pays for long
        runs only.

    callbacks : list of skorch callbacks, default=None
        Added to those of the training, not of the warm-up; copies are used.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights, companions and dropout.

    verbose : int, default=0
        1 shows progress bars on a terminal, 2 also skorch's table of epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_tags,)
        The tags, sorted.

    scheme_ : {"IOB2", "IOBES"} or None
        The form of the tags where they mark entities.

    net_ : skorch.NeuralNet
        The skorch net that was trained.

    module_ : torch.nn.Module
        The fitted module: takes `input_ids`, `attention_mask` and `tagged` of ``k * n_mux`` rows
        and returns the logits of the tagged pieces in the same order.

    tokenizer_ : tokenizers.Tokenizer
        The tokenizer.

    history_ : skorch.history.History
        Losses of the training, epoch by epoch.

    warm_up_history_ : skorch.history.History or None
        Losses and retrieval accuracy of the warm-up.

    operating_points_ : dict of int to dict of str to float
        By `n_mux`, from the least on: its "score", which is that of `score`, and its
        "rows_per_second", both measured on the validation rows of `early_stopping` or by
        `measure_operating_points`; not there without either. A speed is that of the machine, and
        of the `device` and `dtype`, with which it was measured.

    n_iter_ : int
        Epochs of training, the warm-up not counted.

    See Also
    --------
    muxlearn.metrics.entity_f1_score : The measure of `score` for entities.
    muxlearn.inspection.EntityDisplay : Sentences with their tags marked in colour.

    Notes
    -----
    The targets are lists of lists, and scikit-learn's checks for classifiers do not know such:
    the tagger is not tagged as one. `cross_val_score`, `GridSearchCV`, `clone` and `Pipeline`
    work all the same; the splits are those of `KFold`.

    `from_reference` loads a tagger that the authors of [1]_ or [2]_ have published; its tags are
    taken to follow each other legally where their names mark entities.

    A `backbone` of theirs is the start of one: encoder, multiplexer and demultiplexer go on from
    its weights, with its authors' arithmetic (see `from_reference`), below a new last layer.
    `n_mux` has to be that of the weights; `multiplexer`, `demultiplexer`, `demux_layers` and all
    sizes are theirs, there is no lexical path, and `warm_up` "auto" is none. Every sentence is
    padded to `max_length`: lower it for short ones. `lr` "auto" is 5e-5, as the authors chose it,
    and five times that for the last layer.

    Ensembling, as in [2]_, is a choice of the prediction. ``n_mux=1`` puts a sentence into every
    slot of a mixture of its own and averages the probabilities that the slots give its tokens.
    ``n_passes=k`` averages those of `k` passes in full mixtures, each time among other companions
    and in another slot, as their code does with `k` copies that it spreads over a batch.

    References
    ----------
    .. [1] V. Murahari, C. E. Jimenez, R. Yang, K. Narasimhan, "DataMUX: Data Multiplexing for
       Neural Networks", NeurIPS 2022.
    .. [2] V. Murahari et al., "MUX-PLMs: Data Multiplexing for High-throughput Language Models",
       Findings of EMNLP 2023.

    Examples
    --------
    >>> from muxlearn import MuxTokenTagger
    >>> X = [["Ada", "lives", "in", "Paris"], ["Bo", "saw", "Rome"], ["It", "rained"]] * 8
    >>> y = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "B-LOC"], ["O", "O"]] * 8
    >>> tagger = MuxTokenTagger(n_mux=2, batch_size=8, random_state=0).fit(X, y)
    >>> tagger.predict([["Bo", "lives", "in", "Paris"], []])
    [['B-PER', 'O', 'O', 'B-LOC'], []]
    """

    _reference_task = "token"
    _structure_names: ClassVar[tuple[str, ...]] = (*STRUCTURE, "lexical_size")
    _window_rows = 2048
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxTextEstimator._constraints,
        "label_pieces": Choice("first", "all"),
        "lexical_size": Integer(0),
        "decode": Choice("viterbi", None),
        "transitions": Choice("legal", "learned"),
        "class_weight": OneOf(
            None, Choice("balanced"), Instance((dict,), "a dict from tag to weight")
        ),
    }

    def __init__(
        self,
        n_mux: int = 10,
        *,
        architecture: str = "tmux",
        multiplexer: str = "subspace",
        demultiplexer: str = "rsa",
        demux_layers: int = 1,
        learn_keys: bool = True,
        backbone: str | os.PathLike | MuxTextPretrainer | None = None,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int | None = None,
        vocab_size: int = 8000,
        max_length: int = 128,
        label_pieces: str = "first",
        lexical_size: int = 64,
        decode: str | None = None,
        transitions: str = "legal",
        dropout: float = 0.1,
        warm_up: str | None = "auto",
        warm_up_epochs: int = 5,
        retrieval_weight: float | str = "auto",
        retrieval_samples: int = 32,
        operating_points: tuple[int, ...] | None = None,
        max_epochs: int = 10,
        batch_size: int = 32,
        lr: float | str = "auto",
        weight_decay: float = 0.01,
        class_weight: dict | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        warm_start: bool = False,
        dtype: str = "auto",
        device: Any = "auto",
        compile: bool = False,
        callbacks: list | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_mux = n_mux
        self.architecture = architecture
        self.multiplexer = multiplexer
        self.demultiplexer = demultiplexer
        self.demux_layers = demux_layers
        self.learn_keys = learn_keys
        self.backbone = backbone
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.label_pieces = label_pieces
        self.lexical_size = lexical_size
        self.decode = decode
        self.transitions = transitions
        self.dropout = dropout
        self.warm_up = warm_up
        self.warm_up_epochs = warm_up_epochs
        self.retrieval_weight = retrieval_weight
        self.retrieval_samples = retrieval_samples
        self.operating_points = operating_points
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
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
    ) -> MuxTokenTagger:
        """Fit the model to sentences and their tags.

        Parameters
        ----------
        X : sequence of sequences of str, length n_sentences
            The tokens of each sentence: lists, arrays, a `pandas.Series` of lists, a `datasets`
            column. A sentence may be empty.

        y : sequence of sequences of tags, length n_sentences
            One tag for each token: strings, numbers or bools.

        sample_weight : array-like of shape (n_sentences,), default=None
            Weights of the sentences. One of weight 2 counts as two copies of it, and one of
            weight 0 as none; weights that are not whole numbers, or above 10 on average, weigh
            the loss of their tokens.

        unlabeled : sequence of sequences of str, default=None
            Sentences for the warm-up, and for the tokenizer if one is trained; None stands for
            `X`.

        Returns
        -------
        MuxTokenTagger
            The estimator itself. An interrupted `fit` (Ctrl-C) returns as well, with what has
            been learned so far.

        Raises
        ------
        TypeError, ValueError
            A parameter, a sentence or a tag is not what it has to be; tokens and tags differ in
            number; there is no token at all.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        rows = check_sentences(X)
        tags = check_tags(y, rows)
        order, left = training_order(rows, tags, check_weights(sample_weight, len(rows)))
        rows, tags = take_rows(rows, order), take_rows(tags, order)
        of_rows = check_weights(left, len(rows))
        classes, targets = number_tags(tags)
        n_words = np.fromiter(map(len, rows), np.int64, len(rows))
        weights = row_weights(np.repeat(of_rows, n_words), self.class_weight, classes, targets)
        # An empty sentence teaches nothing, and there is no window of it.
        full = np.flatnonzero(n_words)
        full_rows = [rows[i] for i in full]
        extra = full_rows if unlabeled is None else self._check_unlabeled(unlabeled)
        steps = transition_scores(tags, classes.tolist())
        frequencies = np.bincount(targets, minlength=len(classes)) / len(targets)
        part = self._fit(
            full_rows,
            extra,
            classes=classes,
            targets=targets,
            weights=weights,
            n_targets=n_words[full],
            strata=np.zeros(len(full), np.int64),
        )
        scheme = _scheme(classes.tolist())
        # In IOB1, an older form with the same tags, an entity begins with I-.
        regular = n_illegal_steps(tags, scheme) <= 0.01 * len(targets) if scheme else False
        self._set_steps(steps, np.log(frequencies), regular)
        if part is not None:
            self._measure_set_aside(full_rows, take_rows(tags, full), of_rows[full], part)
        return self

    @staticmethod
    def _check_unlabeled(unlabeled: Iterable[Any]) -> list[list[str]]:
        rows = [row for row in check_sentences(unlabeled, name="unlabeled") if row]
        if not rows:
            raise ValueError("`unlabeled` has no token: every sentence is empty")
        return rows

    def predict(
        self,
        X: Iterable[Any],
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> list[list[Any]]:
        """Predict the tags of sentences.

        Parameters
        ----------
        X : sequence of sequences of str, length n_sentences
            As in `fit`; a single sentence is enough.

        n_mux : int or "auto", default=None
            Sentences in a mixture, from 1 to the model's capacity, which None stands for. With
            fewer, a sentence fills several slots whose answers are averaged: slower and more
            accurate. "auto" takes the fastest of `operating_points_` that scores `min_score` or
            more.

        groups : array-like of shape (n_sentences,), default=None
            Sentences of different groups (tenants, say) never share a mixture.

        n_passes : int, default=1
            How often to predict, among other companions each time; probabilities are averaged.

        min_score : float, default=None
            The least score that ``n_mux="auto"`` may choose, in what `score` measures; needed with
            it, and an error without. Scores were measured in one pass and without groups.

        Returns
        -------
        list of list, as long as the sentences of `X`
            One tag for each token, in order.
        """
        parts = self._log_proba_parts(X, n_mux, groups, n_passes, min_score)
        return self._by_sentence(parts, self._labels)

    def predict_proba(
        self,
        X: Iterable[Any],
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> list[NDArray[np.float64]]:
        """Predict the probabilities of the tags.

        Parameters
        ----------
        X, n_mux, groups, n_passes, min_score
            As in `predict`.

        Returns
        -------
        list of ndarray, each (n_tokens, n_tags)
            One array for each sentence, columns in the order of `classes_`. `decode` has no
            part in them.
        """
        parts = self._log_proba_parts(X, n_mux, groups, n_passes, min_score)
        return self._by_sentence(parts, self._probabilities)

    def score(
        self,
        X: Iterable[Any],
        y: Iterable[Any],
        sample_weight: ArrayLike | None = None,
        n_mux: int | Literal["auto"] | None = None,
        groups: ArrayLike | None = None,
        n_passes: int = 1,
        min_score: float | None = None,
    ) -> float:
        """Return the F1 score of entities where the tags mark such, else the tokens' accuracy.

        Parameters
        ----------
        X, n_mux, groups, n_passes, min_score
            As in `predict`.

        y : sequence of sequences of tags
            The true tags. One that was not there in training is never predicted, and a warning
            says so.

        sample_weight : array-like of shape (n_sentences,), default=None
            Weights of the sentences.

        Returns
        -------
        float
            Micro-averaged F1 of whole entities if `scheme_` is not None
            (`muxlearn.metrics.entity_f1_score`), or the share of tokens with the right tag.

        Raises
        ------
        TypeError, ValueError
            A sentence or a tag is not what it has to be; tokens and tags differ in number; no
            token counts.
        """
        check_is_fitted(self)
        rows = check_sentences(X)
        tags = check_tags(y, rows)
        weights = check_weights(sample_weight, len(rows))
        if self.scheme_ is not None:
            check_tags_fit(check_sequences(tags, "y"), None, "y")
        self._warn_of_unknown(tags)
        predicted = self.predict(
            rows, n_mux=n_mux, groups=groups, n_passes=n_passes, min_score=min_score
        )
        return self._score_labels(tags, predicted, weights)

    @property
    def _score_name(self) -> str:
        return "accuracy of tokens" if self.scheme_ is None else "F1 of entities"

    def _score_labels(
        self, true: list[list[Any]], predicted: list[list[Any]], weights: Any
    ) -> float:
        if self.scheme_ is not None:
            return float(entity_f1_score(true, predicted, sample_weight=weights))
        of_tokens = np.repeat(weights, [len(row) for row in true])
        if not of_tokens.any():
            raise ValueError(
                "no token counts: the sentences of `X` are empty, or their `sample_weight` is 0"
            )
        pairs = zip(chain.from_iterable(true), chain.from_iterable(predicted), strict=True)
        return float(np.average([tag == said for tag, said in pairs], weights=of_tokens))

    def _predict_checked(self, rows: list[Any], n_mux: int) -> list[list[Any]]:
        return self._by_sentence(self._checked_parts(rows, n_mux), self._labels)

    def _warn_of_unknown(self, tags: list[list[Any]]) -> None:
        known = set(self.classes_.tolist())
        unknown = Counter(tag for tag in chain.from_iterable(tags) if tag not in known)
        if unknown:
            ((tag, count),) = unknown.most_common(1)
            warnings.warn(
                f"`y` holds tags that the tagger was not fitted with and never predicts, most "
                f"often {tag!r} ({count} of {unknown.total()} such tokens); they count as wrong",
                stacklevel=3,
            )

    # What the shared prediction asks for

    def _column_kind(self) -> str | None:
        return "tokens"

    def _iterate_rows(self, X: Any) -> Iterator[Any]:
        return iterate_sentences(X)

    def _check_rows(self, X: Any, *, first_row: int = 0) -> list[Any]:
        return check_sentences(X, first_row=first_row)

    def _corpus(self, rows: list[Any]) -> Iterable[Any]:
        return (" ".join(row) for row in rows)

    def _table(self, tokenizer: Any, rows: list[Any]) -> RowTable:
        # The tokenizer knows what `max_length` was when the model was built.
        max_length = tokenizer.truncation["max_length"]
        return cut_windows(tokenizer, rows, max_length, all_pieces=self.label_pieces == "all")

    def _module(
        self,
        encoder: CompactEncoder | PretrainedEncoder,
        multiplexer: Multiplexer,
        demultiplexer: Demultiplexer,
        n_classes: int,
    ) -> MuxTokenClassifier:
        return MuxTokenClassifier(
            encoder, multiplexer, demultiplexer, n_classes, self.dropout, self.lexical_size
        )

    def _per_row(self, rows: list[Any], log_proba: NDArray[np.float64]) -> SentenceScores:
        return SentenceScores(log_proba, np.fromiter(map(len, rows), np.int64, len(rows)))

    def _probabilities(self, scores: SentenceScores) -> list[NDArray[np.float64]]:
        return np.split(np.exp(scores.log_proba), np.cumsum(scores.lengths)[:-1])

    def _labels(self, scores: SentenceScores) -> list[list[Any]]:
        if self.decode == "viterbi":
            codes = viterbi_many(
                scores.log_proba - self._prior(), scores.lengths, *self._step_scores()
            )
        else:
            codes = scores.log_proba.argmax(1)
        tags = self.classes_[codes].tolist()
        ends = np.cumsum(scores.lengths)
        spans = zip((ends - scores.lengths).tolist(), ends.tolist(), strict=True)
        return [tags[start:end] for start, end in spans]

    @staticmethod
    def _by_sentence(parts: Iterable[Any], finish: Callable[[Any], list[Any]]) -> list[Any]:
        results = {
            row: result
            for rows, scores in parts
            for row, result in zip(rows.tolist(), finish(scores), strict=True)
        }
        return [results[row] for row in range(len(results))]

    # Steps from tag to tag

    def _set_steps(
        self, steps: StepScores, log_frequencies: NDArray[np.float64], regular: bool
    ) -> None:
        """Keep what training said of steps between tags, and whether they obeyed the scheme."""
        self.scheme_ = _scheme(self.classes_.tolist())
        self._steps = steps
        self._log_frequencies = log_frequencies
        self._regular = regular

    def _step_scores(self) -> StepScores:
        """Return the scores of steps that `transitions` asks for."""
        names, n_tags = self.classes_.tolist(), len(self.classes_)
        if self.transitions == "learned":
            steps = self._steps
        else:
            steps = StepScores(np.zeros((n_tags, n_tags)), np.zeros(n_tags), np.zeros(n_tags))
        if not self._regular:
            return steps
        allowed = (mask(names, self.scheme_) for mask in (transition_mask, start_mask, end_mask))
        return StepScores(*(np.where(a, s, -np.inf) for a, s in zip(allowed, steps, strict=True)))

    def _prior(self) -> NDArray[np.float64] | float:
        # A step's score says how often a tag comes at all, as the network's answer does.
        return self._log_frequencies if self.transitions == "learned" else 0.0

    # Published models

    @classmethod
    def _reference_params(cls) -> dict[str, Any]:
        return {"lexical_size": 0}

    def _complete_reference(self) -> None:
        if self.transitions == "learned":
            raise ValueError(
                "`transitions` is 'learned', but a published model comes without the tags that it "
                "was trained on; take 'legal'"
            )
        n_tags = len(self.classes_)
        steps = StepScores(np.zeros((n_tags, n_tags)), np.zeros(n_tags), np.zeros(n_tags))
        regular = _scheme(self.classes_.tolist()) is not None
        self._set_steps(steps, np.full(n_tags, -np.log(n_tags)), regular)

    # Saving

    def _arrays(self) -> dict[str, NDArray]:
        return {
            **self._steps._asdict(),
            "log_frequencies": self._log_frequencies,
            "regular": np.array(self._regular),
        }

    def _set_arrays(self, arrays: dict[str, NDArray]) -> None:
        steps = StepScores(*(arrays[name] for name in StepScores._fields))
        self._set_steps(steps, arrays["log_frequencies"], bool(arrays["regular"]))


def _scheme(tags: list[Any]) -> str | None:
    """Return the form of tags that mark entities, None for other tags."""
    return tag_scheme(tags) if all(isinstance(tag, str) for tag in tags) else None
