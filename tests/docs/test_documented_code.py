"""Code in the README and on the site names parameters that exist."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import muxlearn
from muxlearn import architectures, backbones
from muxlearn.model_selection import CascadeClassifier
from muxlearn.pretraining import MuxTextPretrainer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.rst"))]
PAGES = [page for page in PAGES if not {"auto_examples", "generated", "_build"} & set(page.parts)]

#: What pages construct, by name.
KNOWN = {
    **{name: getattr(muxlearn, name) for name in muxlearn.__all__},
    **{name: getattr(architectures, name) for name in architectures.__all__},
    **{name: getattr(backbones, name) for name in backbones.__all__},
    "CascadeClassifier": CascadeClassifier,
    "MuxTextPretrainer": MuxTextPretrainer,
}


def code_blocks(page):
    """Return the Python of a page, block by block."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text, re.MULTILINE)
    found += re.findall(r"^   \.\. code-block:: python\n\n((?:      .*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def unknown_parameters(code):
    """Yield calls of our classes and methods with a keyword that they do not take."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or any(k.arg is None for k in node.keywords):
            continue
        name, called = "", None
        if isinstance(node.func, ast.Name):
            name, called = node.func.id, KNOWN.get(node.func.id)
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            owner = KNOWN.get(node.func.value.id)
            name, called = node.func.attr, getattr(owner, node.func.attr, None)
        if called is None or not callable(called):
            continue
        taken = inspect.signature(called).parameters
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()):
            if not hasattr(called, "__self__"):
                continue
            taken = {**taken, **inspect.signature(called.__self__).parameters}
        for keyword in node.keywords:
            if keyword.arg not in taken:
                yield f"{name}({keyword.arg}=…)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_parses_and_names_parameters_that_there_are(page):
    unknown = [found for code in code_blocks(page) for found in unknown_parameters(code)]
    assert unknown == []


def test_pages_have_code_that_is_looked_at():
    assert sum(len(code_blocks(page)) for page in PAGES) > 40
    assert list(unknown_parameters("MuxTextClassifier(n_muxx=3)")) == [
        "MuxTextClassifier(n_muxx=…)"
    ]
