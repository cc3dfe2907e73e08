"""The text embedder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, cast

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from muxlearn._docs import fill_docs
from muxlearn._params import Boolean, Choice, Constraint, Integer, OneOf
from muxlearn.architectures import Setting, build_embedder
from muxlearn.estimators import _texts, _transforming
from muxlearn.estimators._aligning import align_points
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._texts import TEXT_CONSTRAINTS, TextKind
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.points import WORDS, as_point
from muxlearn.rows import Reader, check_single_texts
from muxlearn.tasks import VectorsTask
from muxlearn.training.devices import seeded

__all__ = ["MuxTextEmbedder"]

#: Tokens of a text in a position that "auto" takes at most.
_AUTO_PATCH_SIZE = 2


class _EmbedderKind(TextKind):
    """The kind of the embedder; see `Kind`."""

    level = "vector"
    structure_names = (*TextKind.structure_names, "operating_points")
    settled = ("architecture", "multiplexer", "demultiplexer", "dropout", "operating_points")
    memory_advice = "lower `batch_size` (mixtures in a batch) or `max_length`"

    def setting(self, estimator: Any) -> Setting:
        """Return what the architecture is told; what "auto" stands for is up to the encoder."""
        settled = {name: getattr(estimator, name) for name in self.settled}
        params = {**settled, **estimator.get_params(deep=False)}
        if estimator.patch_size == "auto":
            params["patch_size"] = 1
        if as_point(estimator.n_mux) == WORDS:
            params["n_mux"] = 1
        return Setting.of(self.level, params, {})

    def parts(self, estimator: Any) -> tuple[Reader, VectorsTask]:
        """Return reader and task of a prediction; the task has a parameter that may change."""
        return estimator._reader, replace(estimator._task, normalize=bool(estimator.normalize))


@fill_docs(row="text", rows="texts")
class MuxTextEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MuxEstimator):
    """Embed texts: a vector for each, so that texts of similar meaning have similar vectors.

    `fit` checks the parameters and loads the encoder, and `transform` runs it, with several tokens
    of a text, or several texts, in each of its positions: the more, the faster and the less exact.
    The encoder is not trained. With ``align=True``, `fit` learns from its texts to correct the
    vectors of the fast operating points.

    With ``n_mux=1`` no vector depends on another text, whatever the patch size. With ``n_mux > 1``
    a vector depends on the texts that share its mixture. To limit this, use `patch_size` in the
    place of `n_mux`, or `groups`.

    Parameters
    ----------
    n_mux : int or "words", default=1
        Number of texts in a mixture, which is the model's number of slots, its capacity. With
        "words", `transform` starts with the words alone and no pass of the encoder, in mixtures of
        one text.

    patch_size : int or "auto", default="auto"
        Number of neighbouring tokens of a text that share a position of the encoder, with which
        `transform` starts. It also takes all others that the encoder was trained for. "auto" is
        the largest of these up to 2, which is 1 for an encoder of the `transformers` library.

    backbone : str, path or MuxTextPretrainer, default=None
        The encoder.

        - None: the packaged English encoder, see `muxlearn.box`.
        - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one, which
          code that clones needs in `sklearn.frozen.FrozenEstimator`. A vector is the one that
          the pretrainer's teacher gives the text, as far as it was learned.
        - A folder, or a name on the hub, of an encoder of the `transformers` library with its
          tokenizer. It runs as it is, with ``n_mux=1`` and ``patch_size=1``, and the vector of a
          text is the mean of its tokens' vectors, as in most sentence encoders (MiniLM, MPNet).

    max_length : int, default=128
        Maximum number of tokens of a text that are read. The rest is cut off.

    normalize : bool, default=True
        Whether to bring vectors to length 1, so that the product of two is their cosine.

    align : bool, default=False
        Whether `fit` learns to bring the vectors of each faster operating point closer to those of
        the slowest: a linear map for each, by ridge regression on the vectors of at most 5,000 of
        its texts. It needs no labels. It helps texts like these, and can harm those of other kinds:
        give it texts of all kinds that are to be embedded. `transform` is as fast as without.

    batch_size : int, default=32
        Mixtures in a batch.

    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of the encoder. "auto" is bfloat16 on a GPU and float32 elsewhere. "float16"
        needs a GPU. Vectors are float32 in any case.

    {device}

    {compile}

    verbose : int, default=0
        1 shows a progress bar on a terminal.

    Attributes
    ----------
    module_ : torch.nn.Module
        The module: takes `input_ids` and `attention_mask` of ``k * n_mux`` texts and returns their
        vectors in the same order, not brought to length 1.

    {tokenizer_}

    {operating_point_}

    See Also
    --------
    MuxTextClassifier.transform : The vectors of an encoder that was trained for a task.
    muxlearn.pretraining.MuxTextPretrainer : Trains an encoder to embed texts of yours.

    Notes
    -----
    What the words of a text say, which bypass the encoder, is added to its vector where more than
    two tokens share a position, and is all of it at the point "words".

    Examples
    --------
    >>> from muxlearn import MuxTextEmbedder
    >>> embedder = MuxTextEmbedder().fit()
    >>> texts = ["A man plays the guitar.", "Someone is making music.", "It rains in the hills."]
    >>> vectors = embedder.transform(texts)
    >>> similarities = vectors @ vectors.T
    >>> bool(similarities[0, 1] > similarities[0, 2])
    True
    """

    _kind = _EmbedderKind()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **{
            name: TEXT_CONSTRAINTS[name]
            for name in ("backbone", "max_length", "batch_size", "dtype", "compile")
        },
        "n_mux": OneOf(Choice("words"), Integer(1)),
        "patch_size": OneOf(Choice("auto"), Integer(1)),
        "normalize": Boolean(),
        "align": Boolean(),
        "verbose": TEXT_CONSTRAINTS["verbose"],
    }

    # Parameters of estimators that train.
    architecture = "tmux"
    multiplexer = "auto"
    demultiplexer = "auto"
    dropout = 0.0
    operating_points = None
    lr = "auto"
    optimizer = None

    def __init__(
        self,
        n_mux: int | str = 1,
        *,
        patch_size: int | str = "auto",
        backbone: Any = None,
        max_length: int = 128,
        normalize: bool = True,
        align: bool = False,
        batch_size: int = 32,
        dtype: str = "auto",
        device: Any = "auto",
        compile: bool = False,
        verbose: int = 0,
    ) -> None:
        self.n_mux = n_mux
        self.patch_size = patch_size
        self.backbone = backbone
        self.max_length = max_length
        self.normalize = normalize
        self.align = align
        self.batch_size = batch_size
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.verbose = verbose

    def fit(self, X: Iterable[str] | None = None, y: Any = None) -> MuxTextEmbedder:
        """Check the parameters, load the encoder, and align its points if `align` is True.

        Parameters
        ----------
        X : sequence of str, length n_samples, default=None
            Texts to align the operating points with. They are only checked if `align` is False,
            and an iterator is not even read.

        y : Ignored
            For pipelines.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            A parameter or a text is not valid, the encoder was never trained for such mixtures, or
            there is nothing to align, or nothing to align it with.
        OSError
            `backbone` cannot be loaded.
        """
        self._check_parameters()
        if self.align and isinstance(X, Iterator):
            X = list(X)
        texts = [] if X is None or isinstance(X, Iterator) else check_single_texts(X)
        with seeded(0, self._device()):
            built = build_embedder(self._setting(), self._most_tokens)
            if as_point(self.n_mux) == WORDS and not built.module.answers_by_words:
                raise ValueError(
                    "`n_mux` is 'words', but the encoder has no vectors for the words alone; give "
                    "a number of texts, or the folder of a MuxTextPretrainer that was trained for "
                    "'words', or leave `backbone` out"
                )
            reader = self._kind.reader_around(self, built.reader, built.module)
            if self.align:
                align_points(self, cast(MuxSequenceEmbedder, built.module), reader, texts)
            self._set_trained_elsewhere(reader, VectorsTask(bool(self.normalize)), built.module)
        return self

    transform = _transforming.transform
    fit_transform = _transforming.fit_transform
    transform_iter = _transforming.transform_iter
    transform_dataset = _transforming.transform_dataset

    @property
    def _n_features_out(self) -> int:
        """Size of a vector, for `get_feature_names_out`."""
        return cast(MuxSequenceEmbedder, self.module_).vector_size

    @property
    def _most_tokens(self) -> int | None:
        """Tokens in a position that the encoder may choose to start with; None: no choice."""
        return _AUTO_PATCH_SIZE if self.patch_size == "auto" else None

    tokenizer_ = property(_texts.tokenizer)
