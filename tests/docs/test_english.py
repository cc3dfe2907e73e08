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

#: "must be" is meant, "from scratch", "on average", "was not found", "cannot be fixed", "rarely", …
AVOIDED = re.compile(
    r"\b((has|have|had|having) to|from nothing|in the mean|(to|can|could) be had|be mended"
    r"|of (no )?account|in vain|seldom|of the rest|is measured, and)\b"
    r"|\b(each|some|one|all|none|both|two) of which\b",
    re.IGNORECASE,
)

# What is no prose on a page: code, formulas, options of directives, tables of a list.
NO_PROSE = re.compile(r"\s*(\.\. |:|==|--|\* -)|   ")
IN_MARKS = re.compile(r"``.*?``|:[a-z]+:`[^`]*`|`[^`]*`", re.DOTALL)

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


def sentences(text):
    for part in re.split(r"\n\s*\n", text):
        if not NO_PROSE.match(part):
            yield from re.split(r"(?<=[.!?:])\s+", " ".join(IN_MARKS.sub("X", part).split()))


@pytest.mark.parametrize("page", [p for p in PAGES if p.suffix == ".rst"], ids=id_of)
def test_a_sentence_is_no_chain(page):
    assert [s for s in sentences(page.read_text(encoding="utf-8")) if s.count(";") > 1] == []


def test_chains_are_found():
    assert list(
        sentences(".. plot:: a; b; c\n\n   d; e; f\n\nOne; two;\n``three; four``. Five.")
    ) == [
        "One; two; X.",
        "Five.",
    ]


@pytest.mark.parametrize("file", CODE, ids=id_of)
def test_a_docstring_names_the_thing_or_starts_with_a_verb(file):
    assert [name for name, text in docstrings(file) if OPENINGS.match(text)] == []


@pytest.mark.parametrize("file", CODE, ids=id_of)
def test_an_entry_says_what_it_describes(file):
    entries = [(name, entry) for name, text in docstrings(file) for _, entry in ENTRY.findall(text)]
    assert [e for e in entries if re.match(r"(Of |As for |Has to |Is )", e[1])] == []
