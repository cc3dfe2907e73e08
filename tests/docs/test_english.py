"""Docstrings and pages keep to the English that the contributing page describes."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(
    file
    for folder in ("muxlearn", "examples", "docs")
    for file in (ROOT / folder).rglob("*.py")
    if not {"_build", "auto_examples", "generated"} & set(file.parts)
)
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(
        page
        for page in (ROOT / "docs").rglob("*.rst")
        if not {"_build", "auto_examples", "generated"} & set(page.parts)
    ),
]

#: "must be" is meant, "from scratch", …
AVOIDED = re.compile(r"\b(has|have|had|having) to\b|\bfrom nothing\b", re.IGNORECASE)

#: A first line is a sentence that starts with a verb, or names the thing.
OPENINGS = re.compile(r"(What|Where|How|Who)\b")

# The text of a numpydoc entry, below its first line.
ENTRY = re.compile(r"^( *)\S[^\n]* : [^\n]*\n\1 +(\S[^\n]*)", re.MULTILINE)


def id_of(file):
    return str(file.relative_to(ROOT))


def docstrings(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "name", "module"), docstring


@pytest.mark.parametrize("file", [*CODE, *PAGES], ids=id_of)
def test_text_is_plain(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if AVOIDED.search(line)] == []


@pytest.mark.parametrize("file", CODE, ids=id_of)
def test_a_docstring_names_the_thing_or_starts_with_a_verb(file):
    assert [name for name, text in docstrings(file) if OPENINGS.match(text)] == []


@pytest.mark.parametrize("file", CODE, ids=id_of)
def test_an_entry_says_what_it_describes(file):
    entries = [(name, entry) for name, text in docstrings(file) for _, entry in ENTRY.findall(text)]
    assert [e for e in entries if re.match(r"(Of |As for |Has to |Is )", e[1])] == []
