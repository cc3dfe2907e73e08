"""The public data that the papers of this library were measured on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from muxlearn._docs import fill_docs
from muxlearn._params import (
    Boolean,
    Choice,
    Constraint,
    Instance,
    OneOf,
    PathName,
    check_parameters,
)
from muxlearn.datasets._hub import column_of, label_numbers, load_hub, names_of

__all__ = ["fetch_cifar", "fetch_conll2003", "fetch_glue", "fetch_wikitext"]

_GLUE = "nyu-mll/glue"
_CONLL = "eriktks/conll2003"
_WIKITEXT = "Salesforce/wikitext"
#: The branch of the hub's files that need no code of the data set's own.
_CONVERTED = "refs/convert/parquet"

#: The texts of GLUE's tasks, by their columns.
_TEXTS = {
    "cola": ("sentence",),
    "mnli": ("premise", "hypothesis"),
    "mrpc": ("sentence1", "sentence2"),
    "qnli": ("question", "sentence"),
    "qqp": ("question1", "question2"),
    "rte": ("sentence1", "sentence2"),
    "sst2": ("sentence",),
    "stsb": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}
_REGRESSIONS = ("stsb",)

_ENTITIES = ["O"] + [f"{mark}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for mark in "BI"]

_CIFAR_ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-{size}-python.tar.gz"


@fill_docs()
def fetch_glue(
    task: str,
    source: str | os.PathLike[str] = _GLUE,
    *,
    split: str = "train",
    cache_dir: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    """Fetch a task of GLUE, sentences or pairs of them.

    Parameters
    ----------
    task : {"cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli"}
    source : str or path, default="nyu-mll/glue"
        A name on the hub, or a copy of its folder. A folder of one task's files works as well.
    split : str, default="train"
        "train" or "validation", or a part, such as "train[:10%]". For "mnli", "validation" stands
        for "validation_matched". The labels of "test" are not public.
    {fetched.cache_dir}
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : list of str or of (str, str), length n_samples
            The sentences, or the pairs.
        {labelled.targets}

    Raises
    ------
    {fetched.raises}

    References
    ----------
    A. Wang et al., GLUE: a multi-task benchmark and analysis platform for natural language
    understanding (ICLR 2019).

    Examples
    --------
    >>> from muxlearn.datasets import fetch_glue
    >>> X, y = fetch_glue("sst2", return_X_y=True)  # doctest: +SKIP
    """
    given = {"task": task, "split": split, "return_X_y": return_X_y}
    allowed: dict[str, Constraint] = {
        "task": Choice(*_TEXTS),
        "split": Instance((str,), "a str"),
        "return_X_y": Boolean(),
    }
    check_parameters(given, allowed)
    if task == "mnli" and split.startswith("validation") and not split.startswith("validation_"):
        split = split.replace("validation", "validation_matched", 1)
    data = load_hub(source, split, cache_dir, part=task)
    columns = [list(data[column_of(data, source, name)]) for name in _TEXTS[task]]
    rows: list[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    names: list[str] = []
    if task in _REGRESSIONS:
        target: Any = np.array(list(data[column_of(data, source, "label")]), np.float64)
    else:
        target = label_numbers(data, source)
    if (target < 0).any():
        raise ValueError(f"`split` is {split!r}, whose labels are not public; take 'validation'")
    if task not in _REGRESSIONS:
        spoken = names_of(data.features["label"])
        target = target.astype(str) if spoken is None else np.array(spoken)[target]
        names = sorted(set(target.tolist()))
    return (rows, target) if return_X_y else Bunch(data=rows, target=target, target_names=names)


@fill_docs()
def fetch_conll2003(
    source: str | os.PathLike[str] = _CONLL,
    *,
    split: str = "train",
    cache_dir: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    """Fetch the English named entities of CoNLL-2003, newswire of Reuters with IOB2 tags.

    `load_conll` reads the same data from files of one token a line.

    Parameters
    ----------
    source : str or path, default="eriktks/conll2003"
        A name on the hub, or a copy of its folder.
    split : str, default="train"
        "train", "validation" or "test", 14,041, 3,250 and 3,453 sentences, or a part, such as
        "train[:10%]".
    {fetched.cache_dir}
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : list of list of str, length n_samples
            The tokens of each sentence.
        target : list of list of str, length n_samples
            A tag for each token.
        target_names : list of str
            The different tags, sorted. Not in the tuple.

    Raises
    ------
    {fetched.raises}

    References
    ----------
    E. F. Tjong Kim Sang, F. De Meulder, Introduction to the CoNLL-2003 shared task (CoNLL 2003).

    Examples
    --------
    >>> from muxlearn.datasets import fetch_conll2003
    >>> X, y = fetch_conll2003(return_X_y=True)  # doctest: +SKIP
    """
    Boolean().check("return_X_y", return_X_y)
    revision = _CONVERTED if str(source) == _CONLL else None
    part = "conll2003" if str(source) == _CONLL or (Path(source) / "conll2003").is_dir() else None
    data = load_hub(source, split, cache_dir, part=part, revision=revision)
    sentences = [list(row) for row in data[column_of(data, source, "tokens")]]
    column = column_of(data, source, "ner_tags")
    names = names_of(data.features[column]) or _ENTITIES
    tags = [[t if isinstance(t, str) else names[t] for t in row] for row in data[column]]
    kept = [row for row, sentence in enumerate(sentences) if sentence]
    sentences, tags = [sentences[row] for row in kept], [tags[row] for row in kept]
    if return_X_y:
        return sentences, tags
    return Bunch(data=sentences, target=tags, target_names=sorted({t for row in tags for t in row}))


@fill_docs()
def fetch_wikitext(
    source: str | os.PathLike[str] = _WIKITEXT,
    *,
    name: str = "wikitext-103-raw-v1",
    split: str = "train",
    cache_dir: str | os.PathLike[str] | None = None,
) -> Bunch:
    """Fetch paragraphs of Wikipedia without labels, on which the papers warm their networks up.

    Parameters
    ----------
    source : str or path, default="Salesforce/wikitext"
        A name on the hub, or a copy of its folder.
    name : str, default="wikitext-103-raw-v1"
        The configuration; "wikitext-2-raw-v1" is a fiftieth of it.
    split : str, default="train"
        "train", "validation" or "test", or a part, such as "train[:10%]".
    {fetched.cache_dir}

    Returns
    -------
    sklearn.utils.Bunch
        data : list of str
            The paragraphs, without headings and blank lines.

    Raises
    ------
    {fetched.raises}

    References
    ----------
    S. Merity, C. Xiong, J. Bradbury, R. Socher, Pointer sentinel mixture models (ICLR 2017).

    Examples
    --------
    >>> from muxlearn.datasets import fetch_wikitext
    >>> texts = fetch_wikitext(split="validation").data  # doctest: +SKIP
    """
    PathName("the name of a configuration").check("name", name)
    data = load_hub(source, split, cache_dir, part=name)
    lines = (line.strip() for line in data[column_of(data, source, "text")])
    return Bunch(data=[line for line in lines if line and not line.startswith("= ")])


@fill_docs()
def fetch_cifar(
    name: str = "cifar10",
    *,
    split: str = "train",
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Fetch the small pictures of CIFAR-10 or CIFAR-100 through torchvision.

    Parameters
    ----------
    name : {"cifar10", "cifar100"}, default="cifar10"
    split : {"train", "test"}, default="train"
        50,000 or 10,000 pictures.
    data_home : str or path, default=None
        The folder of the archive or of what it holds. None is the folder "cifar" in that of
        scikit-learn's data sets.
    download_if_missing : bool, default=True
        False raises an error if the folder lacks the data.
    {labelled.return_X_y}

    Returns
    -------
    sklearn.utils.Bunch, or (data, target)
        data : ndarray of uint8, shape (n_samples, 32, 32, 3)
            The images.
        target : ndarray of str, shape (n_samples,)
            The names of the classes.
        target_names : list of str
            The different names, sorted. Not in the tuple.

    Raises
    ------
    ConnectionError
        The archive can't be downloaded; the message says what to do without a connection.
    FileNotFoundError
        The folder lacks the data, and `download_if_missing` is False.
    TypeError, ValueError
        A parameter is not allowed.

    References
    ----------
    A. Krizhevsky, Learning multiple layers of features from tiny images (2009).

    Examples
    --------
    >>> from muxlearn.datasets import fetch_cifar
    >>> X, y = fetch_cifar(return_X_y=True)  # doctest: +SKIP
    """
    constraints: dict[str, Constraint] = {
        "name": Choice("cifar10", "cifar100"),
        "split": Choice("train", "test"),
        "data_home": OneOf(PathName("the name of a folder"), None),
        "download_if_missing": Boolean(),
        "return_X_y": Boolean(),
    }
    given = {
        "name": name,
        "split": split,
        "data_home": data_home,
        "download_if_missing": download_if_missing,
        "return_X_y": return_X_y,
    }
    check_parameters(given, constraints)
    from torchvision.datasets import CIFAR10, CIFAR100  # type: ignore[import-untyped]

    cifar = CIFAR10 if name == "cifar10" else CIFAR100
    folder = Path(get_data_home(), "cifar") if data_home is None else Path(data_home)
    advice = (
        f"download {_CIFAR_ARCHIVE.format(size=name[5:])} on a machine with a connection, "
        "copy it to a folder and give that as `data_home`"
    )
    try:
        data = cifar(folder, train=split == "train", download=download_if_missing)
    except (URLError, ConnectionError) as error:
        raise ConnectionError(f"{name} can't be downloaded ({error}); {advice}") from error
    except RuntimeError as error:
        raise FileNotFoundError(
            f"'{folder}' does not hold the files of {name}; {advice}, or take "
            "download_if_missing=True"
        ) from error
    target = np.array(data.classes)[np.asarray(data.targets)]
    if return_X_y:
        return data.data, target
    return Bunch(data=data.data, target=target, target_names=sorted(data.classes))
