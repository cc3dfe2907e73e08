"""Docstring entries that classes share stand in one place, and are complete where they are read."""

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

from muxlearn import (
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTextRegressor,
    MuxTokenTagger,
    distributed,
    export,
    metrics,
)
from muxlearn._docs import DEFAULT_NOUNS, ENTRIES, fill_docs
from muxlearn.model_selection import CascadeClassifier
from muxlearn.pretraining import MuxTextPretrainer

PACKAGE = Path(__file__).parents[1] / "muxlearn"
#: The folders and files whose classes and functions share entries.
SHARING = (
    *("estimators", "export", "distributed", "metrics", "model_selection"),
    *("datasets/_labelled.py", "datasets/_public.py", "pretraining.py"),
)

ESTIMATORS = (
    MuxTextClassifier,
    MuxTextRegressor,
    MuxTokenTagger,
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextPretrainer,
)
OTHERS = (
    MuxTextEmbedder,
    export.OnnxMuxClassifier,
    export.OnnxMuxEmbedder,
    export.OnnxMuxRegressor,
    export.OnnxMuxTagger,
    *(getattr(distributed, name) for name in distributed.__all__),
    *(getattr(metrics, name) for name in metrics.__all__),
)

PLACEHOLDER = re.compile(r"^ *\{[\w.]+\}$", re.MULTILINE)
# A numpydoc entry: its first line, then what is indented more deeply.
ENTRY = re.compile(r"^(\w+ : [^\n]*)\n((?:[ ]+[^\n]*\n?|\n)+)", re.MULTILINE)


def files():
    for name in SHARING:
        path = PACKAGE / name
        yield from [path] if path.suffix else sorted(path.rglob("*.py"))


def written_docstrings():
    """Yield the docstrings as they stand in the source, with their place."""
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                docstring = ast.get_docstring(node)
                if docstring is not None:
                    yield f"{file.relative_to(PACKAGE)}: {node.name}", docstring


def entries_of(docstring):
    return {
        first.partition(" : ")[0]: f"{first} {' '.join(rest.split())}"
        for first, rest in ENTRY.findall(docstring + "\n")
    }


def read_docstrings(owner):
    """Yield the docstrings of a class and its methods, or of a function, as `help` shows them."""
    parts = [owner]
    if inspect.isclass(owner):
        parts += [part for name, part in inspect.getmembers(owner) if not name.startswith("_")]
    for part in parts:
        if getattr(part, "__doc__", None):
            yield inspect.cleandoc(part.__doc__)


def test_no_entry_is_written_twice():
    """A number or a list with no more than a few words is said where it is."""
    places = defaultdict(list)
    for place, docstring in written_docstrings():
        for first, rest in ENTRY.findall(docstring + "\n"):
            if len(rest.split()) > 2:
                places[first, " ".join(rest.split())].append(place)
    assert {entry: found for entry, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    "owner", [*ESTIMATORS, *OTHERS], ids=lambda owner: getattr(owner, "__qualname__", str(owner))
)
def test_no_placeholder_is_left(owner):
    for docstring in read_docstrings(owner):
        assert PLACEHOLDER.findall(docstring) == []
        assert "$" not in docstring


def test_every_entry_is_used_more_than_once():
    """One that is used once belongs into its docstring."""
    used = defaultdict(int)
    for _, docstring in written_docstrings():
        for found in PLACEHOLDER.findall(docstring):
            used[found.strip(" {}")] += 1
    assert {name for name in ENTRIES if used[name] < 2} == set()


@pytest.mark.parametrize("name", ["optimizer", "dtype", "device", "compile", "verbose", "net_"])
def test_a_shared_entry_reads_the_same_in_every_estimator(name):
    shown = {entries_of(inspect.cleandoc(owner.__doc__))[name] for owner in ESTIMATORS}
    assert len(shown) == 1


@pytest.mark.parametrize("owner", [*ESTIMATORS, MuxTextEmbedder], ids=lambda owner: owner.__name__)
def test_every_parameter_has_an_entry_with_its_default(owner):
    entries = entries_of(inspect.cleandoc(owner.__doc__))
    for name, parameter in inspect.signature(owner).parameters.items():
        first = entries[name].partition("default=")[2]
        default = repr(parameter.default).replace("'", '"')
        assert first.startswith(default), name


@pytest.mark.parametrize("owner", ESTIMATORS, ids=lambda owner: owner.__name__)
def test_every_fitted_attribute_has_an_entry(owner):
    """`predictor_` has a section of the API reference."""
    attributes = inspect.cleandoc(owner.__doc__).split("\nAttributes\n")[1]
    described = ", ".join(re.findall(r"^(.+) : ", attributes, re.MULTILINE)).split(", ")
    properties = {n for n, _ in inspect.getmembers(owner, lambda part: isinstance(part, property))}
    assert {n for n in properties if re.match("[a-z].*_$", n)} - {*described} == {"predictor_"}


@pytest.mark.parametrize("owner", ESTIMATORS, ids=lambda owner: owner.__name__)
def test_help_comes_to_the_methods_soon(owner):
    """Three screens of 60 lines with the signature: what is longer belongs into the guide."""
    assert len(inspect.cleandoc(owner.__doc__).splitlines()) <= 170


@pytest.mark.parametrize(
    "owner",
    [*ESTIMATORS, *filter(inspect.isclass, OTHERS), CascadeClassifier],
    ids=lambda owner: owner.__name__,
)
def test_help_shows_the_first_argument_of_a_method_as_self(owner):
    """Methods that several classes share are functions of a module."""
    methods = dict(inspect.getmembers(owner, inspect.isfunction))
    public = {name for name in methods if not name.startswith("_")}
    assert "predict" in public or "transform" in public
    assert {
        n for n in public if next(iter(inspect.signature(methods[n]).parameters)) != "self"
    } == set()


def test_an_entry_takes_the_words_of_its_class():
    @fill_docs(row="page", rows="pages")
    class Reader:
        """Read.

        Parameters
        ----------
        {max_epochs}
            More follows.
        """

        def __init__(self, max_epochs=7):
            self.max_epochs = max_epochs

        def fit(self):
            """Fit.

            {fit.sample_weight}
            """

    entry = entries_of(inspect.cleandoc(Reader.__doc__))["max_epochs"]
    assert entry.startswith("max_epochs : int, default=7 ")
    assert "the model sees each page" in entry
    assert entry.endswith("among other pages. More follows.")
    assert f"shape ({DEFAULT_NOUNS['n_rows']},)" in Reader.fit.__doc__
    assert "Weights of the pages" in Reader.fit.__doc__


def test_a_type_that_goes_on_in_the_next_line_has_no_gap():
    @fill_docs()
    def fit(batch_size=8):
        """Fit.

        {batch_size}
        kind : {"one", "two"}, \
                default="one"
        """

    assert 'kind : {"one", "two"}, default="one"\n' in fit.__doc__


def test_an_unknown_entry_is_an_error():
    def fit():
        """Fit.

        {sample_weights}
        """

    with pytest.raises(KeyError, match=r"sample_weights.*which is no entry"):
        fill_docs()(fit)
