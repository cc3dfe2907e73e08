"""Docstring entries that several classes or functions share, each written once.

A docstring names an entry in braces, alone on a line, where the entry shall stand::

    @fill_docs(row="text", rows="texts")
    class MuxTextClassifier:
        '''Classify texts.

        {batch_size}

        {lr}
            "auto" is 5e-4 for an encoder from scratch.
        '''

Lines that follow with a deeper indentation, like the last one, continue the entry.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from string import Template
from typing import Any, TypeVar

from muxlearn._data_docs import DATA_ENTRIES

__all__ = ["DEFAULT_NOUNS", "ENTRIES", "fill_docs"]

Documented = TypeVar("Documented", bound=Callable[..., Any])

#: What entries call the rows and their labels where `fill_docs` is given no other words. An entry
#: may also hold `$default`, which is the parameter's default in the signature.
DEFAULT_NOUNS = {"row": "row", "rows": "rows", "n_rows": "n_samples", "labels": "classes"}

ENTRIES = {
    **DATA_ENTRIES,
    # Parameters of estimators
    "n_mux": """
        n_mux : int or "auto", default=$default
            Number of $rows in a mixture: the model's slots, its capacity. With a number alone,
            `patch_size` is 1. If both are "auto", they follow `operating_points`, or `backbone`
            and `architecture` choose (`operating_point_`).
        """,
    "patch_size": """
        patch_size : int or "auto", default=$default
            Number of neighbouring tokens of a $row in a position of the encoder, which then runs on
            sequences shorter by that factor. With ``n_mux=2, patch_size=5`` ten tokens share a
            position. With ``n_mux=1`` no prediction depends on another $row. Only for "tmux". With
            a number alone, `n_mux` is 1.
        """,
    "multiplexer": """
        multiplexer : {"auto", "subspace", "hadamard", "orthogonal", "binary", "identity", \
                "nested", "contextual"}, default=$default
            How "tmux" marks the $rows of a mixture before it adds them up. "auto" is what
            `backbone` was warmed up with for as many rows, or "subspace", where every slot has its
            own dimensions. "hadamard", "orthogonal" and "binary" are DataMUX's ([1]_), "contextual"
            is attention over the slots ([2]_), "nested" leaves a $row alone unchanged, "identity"
            makes no mark. ``n_mux=1`` ignores it, so that a search over `n_mux` may set any.
        """,
    "demultiplexer": """
        demultiplexer : {"auto", "rsa", "index", "mlp", "nested"}, default=$default
            How "tmux" recovers the vector of a slot: by a learned key of the slot ("rsa", [2]_), by
            prefix positions ("index", [1]_), or a layer for each slot ("mlp", [1]_). "auto" is what
            `backbone` was warmed up with, or "rsa". "nested" takes both. ``n_mux=1`` ignores it.
        """,
    "backbone": """
        backbone : str, path, Packaged, Scratch, Published or MuxTextPretrainer, default=$default
            The encoder:

            - None: the first three layers of the packaged English encoder, which ignores case
              (`muxlearn.box`). `muxlearn.backbones.Packaged` has all six, or a number of your own.
            - "scratch" or `muxlearn.backbones.Scratch`: a compact encoder, trained from scratch.
            - A folder that `muxlearn.pretraining.MuxTextPretrainer` has saved, or a fitted one,
              inside a `sklearn.frozen.FrozenEstimator` where code clones.
            - A folder, or a name on the hub, of an encoder of `transformers` (BERT, MiniLM,
              ModernBERT, …), or of weights that the authors of [1]_ or [2]_ have published.
        """,
    "texts.max_length": """
        max_length : int, default=$default
            Maximum number of tokens of a text, or of a pair together; the rest is cut off. The
            packaged encoder reads at most 512. The lexical path may read more, see `TMUX`.
        """,
    "operating_points": """
        operating_points : tuple or dict, default=$default
            Operating points that one model is trained for, in equal shares of the steps; a dict
            from points to numbers sets the shares. None trains at the model's own point only. A
            prediction takes any number of $rows up to `n_mux` in all cases.
        """,
    "operating_points.texts": """
            A point is a number of $rows, a pair ``(n_mux, patch_size)`` or "words": the lexical
            path alone, with no pass of the encoder, which is fastest and learns at every step.
        """,
    "predict.patch_size": """
        patch_size : int, default=None
            Number of neighbouring tokens of one $row in a position, one of those that the model was
            built for. None stands for its own. Images have 1 alone.
        """,
    "max_epochs": """
        max_epochs : int, default=$default
            Epochs of the training. An epoch has ``n_samples / batch_size`` steps at any `n_mux`, so
            that the model sees each $row `n_mux` times an epoch, each time among other $rows.
        """,
    "batch_size": """
        batch_size : int, default=$default
            Mixtures in a batch, in training and prediction.
        """,
    "lr": """
        lr : float or "auto", default=$default
            Peak learning rate. It is reached after a tenth of the steps and falls linearly to 0.
        """,
    "optimizer": """
        optimizer : Optimizer, str or class, default=$default
            A name or class of `torch.optim`, or a `muxlearn.training.Optimizer` with parameters.
            None is AdamW with a decay of 0.01 on weight matrices and kernels.
        """,
    "loss": """
        loss : {"squared_error", "absolute_error", "huber"}, default=$default
            The loss of the standardised targets. "huber" is squared up to an error of one standard
            deviation and absolute beyond, so that outliers count less.
        """,
    "class_weight": """
        class_weight : dict, "balanced" or None, default=$default
            Weights of the $labels in the loss; "balanced" gives all of them the same total weight.
        """,
    "early_stopping": """
        early_stopping : bool or int, default=$default
            Whether to set aside some training $rows, stop when the loss on them has not improved
            for 3 epochs (or for as many as an int says) and keep the best weights. `fit` then also
            measures the operating points on them (`measured_points_`).
        """,
    "validation_fraction": """
        validation_fraction : float, default=$default
            The fraction of the training $rows to set aside with `early_stopping`.
        """,
    "warm_start": """
        warm_start : bool, default=$default
            Whether `fit` continues from the last `fit`, with the same weights, classes and
            tokenizer or pixel statistics, and without a second warm-up.
        """,
    "dtype": """
        dtype : {"auto", "float32", "bfloat16", "float16"}, default=$default
            Precision of prediction, and of the products in training. "auto" is bfloat16 on a GPU
            and float32 elsewhere. "float16" needs a GPU and trains in bfloat16.
        """,
    "device": """
        device : str or torch.device, default=$default
            The device to compute on. "auto" uses a GPU if there is one.
        """,
    "compile": """
        compile : bool, default=$default
            Whether prediction runs through `torch.compile`. It needs a C++ compiler and only pays
            off in long runs.
        """,
    "callbacks": """
        callbacks : list of skorch callbacks, default=$default
            Callbacks of the training, not of a warm-up; copies are used. An `LRScheduler` replaces
            the schedule of `lr`. Scoring callbacks see each validation target once; `BatchScoring`
            and `InputShapeSetter`, which read rows in a batch, are refused.
        """,
    "random_state": """
        random_state : int, RandomState instance or None, default=$default
            Seeds all that is random: initial weights, mixtures, dropout and augmentation.
        """,
    "verbose": """
        verbose : int, default=$default
            1 says how long training will take and shows its progress: bars on a terminal, lines in
            a log. 2 also prints skorch's table of epochs. With 0, only a training of more than a
            minute says so, in one line of the logger "muxlearn".
        """,
    # Attributes of estimators
    "classes_": """
        classes_ : ndarray of shape (n_$labels,)
            The $labels, sorted.
        """,
    "net_": """
        net_ : skorch.NeuralNet
            The skorch net that was trained.
        """,
    "tokenizer_": """
        tokenizer_ : tokenizers.Tokenizer
            The tokenizer.
        """,
    "history_": """
        history_ : skorch.history.History
            Losses of the training, epoch by epoch.
        """,
    "warm_up_history_": """
        warm_up_history_ : skorch.history.History or None
            Losses of the warm-up, and its retrieval accuracy; None without a warm-up.
        """,
    "operating_point_": """
        operating_point_ : (int, int)
            The `n_mux` and `patch_size` that a prediction has where it is given none.
        """,
    "trained_points_": """
        trained_points_ : tuple, dict or None
            The `operating_points` of `fit`, whatever has been set since.
        """,
    "measured_points_": """
        measured_points_ : dict of operating points to dict of str to float
            "score", "n_rows" that it was measured on, "rows_per_second" on this machine and, for an
            accuracy, its interval of 95 % as "low" and "high" (Wilson's). Measured with
            `early_stopping` or by `measure_operating_points`; absent otherwise.
        """,
    "n_iter_": """
        n_iter_ : int
            Number of finished epochs of the training; those of a warm-up do not count.
        """,
    # Notes of estimators
    "notes.published": """
        A `backbone` that they have published keeps their authors' arithmetic; `n_mux` must be that
        of its weights, which set all sizes (see `muxlearn.backbones.Published`).
        """,
    "notes.ensembling": """
        Ensembling, as in [2]_, is chosen at prediction: ``n_mux=1`` puts a $row into every slot of
        its own mixture, ``n_passes=k`` averages `k` passes in other mixtures.
        """,
    "notes.invariance": """
        For ``n_mux > 1`` a prediction depends on the rows in its mixture. scikit-learn's checks of
        invariance to the order of samples and to the batch size then do not hold.
        """,
    # Training
    "fit.sample_weight": """
        sample_weight : array-like of shape ($n_rows,), default=None
            Weights of the $rows. One of weight 2 counts as two copies of it, which
            `early_stopping` sets aside together; one of weight 0 is left out. Weights that are not
            integers, or above 10 on average, weight the loss.
        """,
    "fit.checkpoint": """
        checkpoint : str or path, default=None
            A folder that keeps the state of the training: every ten minutes, at its end, and where
            Ctrl-C ends it. After a crash, `fit` with the same $rows and parameters continues there
            and ends with the same model. Not for several processes.
        """,
    "fit.unlabeled": """
        unlabeled : sequence of str or of sequences of int, default=None
            Rows for the retrieval warm-up, and for the tokenizer if one is trained. None stands
            for `X`. Where neither reads them, as with the packaged encoder, a warning says so.
        """,
    "fit.returns": """
        estimator
            The estimator itself. An interrupted `fit` (Ctrl-C) returns it as well, trained so far;
            if no epoch has ended by then, a `sklearn.exceptions.ConvergenceWarning` says that
            nothing has been learned.
        """,
    # Saved and published models
    "load.moved": """
        **moved
            `backbone` for a model with architecture="revmux": the folder or name of the encoder, if
            it is no longer that of `fit`.
        """,
    "hub.revision": """
        revision : str, default=None
            Branch, tag or commit on the hub.
        """,
    "hub.cache_dir": """
        cache_dir : str or path, default=None
            The hub's cache; None leaves it to HF_HOME.
        """,
    "hub.local_files_only": """
        local_files_only : bool, default=False
            Whether to look into the cache only.
        """,
    # Prediction
    "predict.X": """
        X : sequence of length $n_rows
            The $rows, as in `fit`; a single one is enough.
        """,
    "predict.n_mux": """
        n_mux : int, (int, int) or "words", default=None
            Number of $rows in a mixture, from 1 to the model's capacity, the default. With fewer,
            each $row fills several slots, whose predictions are averaged: slower and more
            accurate. Also what `fastest_point` returns, the fastest point that is accurate enough,
            and for texts and tags a whole operating point: a pair ``(n_mux, patch_size)`` or
            "words".
        """,
    "transform.n_mux": """
        n_mux : int, (int, int) or "words", default=None
            Number of $rows in a mixture, from 1 to the capacity, the default. With fewer, each $row
            fills several slots, which is slower and more accurate. Also a whole operating point, a
            pair ``(n_mux, patch_size)`` or "words".
        """,
    "transform.n_passes": """
        n_passes : int, default=1
            Number of passes, each in other mixtures. Their vectors are averaged.
        """,
    "predict.groups": """
        groups : array-like of shape ($n_rows,), default=None
            The group of each $row. Members of different groups (tenants, say) never share a
            mixture, and no group changes the predictions of another.
        """,
    "predict.n_passes": """
        n_passes : int, default=1
            Number of predictions, each in other mixtures. Their probabilities, or numbers, are
            averaged.
        """,
    "score.sample_weight": """
        sample_weight : array-like of shape ($n_rows,), default=None
            Weights of the $rows in the score.
        """,
    "measure.repeats": """
        repeats : int, default=5
            Number of timed calls of `predict`, whose median is taken, after an untimed one.
        """,
    # Prediction of streams and of data sets
    "stream.groups": """
        groups : iterable, default=None
            One group label for each row. Rows of different groups never share a mixture. A group's
            rows are predicted 8 mixtures at a time, counted from its first one, whatever comes
            between them. One exception keeps the memory constant: a row waits for others of its
            group until two windows have been read behind it. It then shares mixtures with those
            that have come.
        """,
    "dataset.column": """
        column : str or (str, str), default=None
            The column of the rows, or two for pairs of texts. None takes the only column, or
            "text".
        """,
    "dataset.keep": """
        keep : sequence of str, default=()
            Columns to copy to the output, such as the key of a row.
        """,
    "dataset.rows_per_part": """
        rows_per_part : int, default=100000
            Rows of a part, rounded up to a multiple of a window, within which mixtures are
            planned. A kill loses the work of at most one part.
        """,
    "dataset.groups": """
        groups : str, default=None
            The column of the groups. Rows of different groups never share a mixture. What other
            groups' rows hold changes no prediction. How many they are may change with which rows of
            its own group a row shares a mixture, since mixtures are planned within a window, a
            partition or a batch.
        """,
    # Engines, which predict with a saved model
    "engine.folder": """
        folder : str or path
            The folder of a saved model, at the same path on all machines.
        """,
    "engine.n_mux": """
        n_mux : int, (int, int) or "words", default=None
            Number of rows in a mixture, from 1 to the model's capacity, the default; or a whole
            operating point, a pair ``(n_mux, patch_size)`` or "words".
        """,
    "engine.method": """
        method : {"predict", "predict_proba", "transform"}, default="predict"
            Adds the column "prediction", "probabilities" with lists in the order of `classes_`, or
            "vector" with lists of numbers. An embedder needs "transform".
        """,
    # Exported models
    "exported.operating_points": """
        operating_points : tuple
            The operating points that were exported, the model's own first; a prediction takes one
            of them as `n_mux`, and the first where it is given none.
        """,
    "exported.n_mux_attribute": """
        n_mux : int
            The largest number of rows among `operating_points`.
        """,
    "exported.dtype": """
        dtype : {"float32", "int8"}
            Precision of the weights.
        """,
    # Measures of tags
    "metrics.tags": """
        y_true, y_pred : sequence of sequences of str
            The right tags and the predicted ones, for each sentence one for each token.
        """,
    "metrics.scheme": """
        scheme : {"IOB2", "IOE2", "IOBES", "BILOU"} or None, default=None
            None forgives what is ill-formed, as conlleval does: an I or E that continues nothing
            begins an entity, and one without its E or S still counts; tags in IOB1 and IOE1 are
            read so, too. A scheme only counts entities that are complete by its rules.
        """,
    "metrics.average": """
        average : {"micro", "macro", "weighted"} or None, default=$default
            "micro" counts all entities together; "macro" is the mean over the types, "weighted" by
            how many true entities they have. None: one value for each type, in sorted order.
        """,
    "metrics.sample_weight": """
        sample_weight : array-like of shape (n_sentences,), default=None
            Weight of the entities of each sentence.
        """,
    "metrics.returns": """
        float, or ndarray of shape (n_types,) if `average` is None
            Between 0 and 1.
        """,
    "metrics.raises": """
        TypeError
            Strings stand where lists of them belong, or a tag is no string.
        ValueError
            Sentences or tags of `y_true` and `y_pred` do not pair up, or a tag does not belong to
            the scheme.
        """,
    # Data of the hub
    "fetched.cache_dir": """
        cache_dir : str or path, default=None
            Where `datasets` keeps what it has downloaded. None: its own place.
        """,
    "fetched.raises": """
        ConnectionError
            The hub can't be reached; the message says what to do without a connection.
        FileNotFoundError
            There is no such folder or name.
        TypeError, ValueError
            A parameter is not allowed, or the data lack the split or a column.
        """,
}

_PLACEHOLDER = re.compile(r"^([ ]*)\{([\w.]+)\}$", re.MULTILINE)


def fill_docs(**words: str) -> Callable[[Documented], Documented]:
    """Decorate a function, or a class and its methods: put entries where docstrings name them.

    Parameters
    ----------
    **words
        Take the place of `DEFAULT_NOUNS` in the entries.

    Raises
    ------
    KeyError
        There is no entry of a name, or an entry needs a word that is not there.
    """

    def fill(documented: Documented) -> Documented:
        parts = vars(documented).values() if inspect.isclass(documented) else ()
        methods = [getattr(part, "__func__", part) for part in parts]
        each: Any
        for each in (documented, *filter(inspect.isfunction, methods)):
            # There is no docstring under `python -OO`.
            if _PLACEHOLDER.search(each.__doc__ or ""):
                each.__doc__ = _filled(each, DEFAULT_NOUNS | words)
        return documented

    return fill


def _filled(documented: Callable[..., Any], words: Mapping[str, str]) -> str:
    parameters = inspect.signature(documented).parameters

    def entry(found: re.Match[str]) -> str:
        indent, name = found.groups()
        if name not in ENTRIES:
            raise KeyError(f"{documented.__qualname__} asks for {{{name}}}, which is no entry")
        parameter = parameters.get(name.rpartition(".")[2])
        default = {} if parameter is None else {"default": _shown(parameter.default)}
        text = Template(inspect.cleandoc(ENTRIES[name])).substitute(words, **default)
        return "\n".join(indent + line if line else line for line in text.split("\n"))

    filled = _PLACEHOLDER.sub(entry, documented.__doc__ or "")
    # A type that goes on in the next line of the source is one line for the reader.
    return re.sub(r"(?<=,) {2,}", " ", filled)


def _shown(default: object) -> str:
    return json.dumps(default) if isinstance(default, str) else repr(default)
