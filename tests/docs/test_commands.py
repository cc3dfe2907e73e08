"""The commands that the pages tell readers to type are ones that the benchmarks understand."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from muxlearn.benchmark.__main__ import main

ROOT = Path(__file__).parents[2]
BUILT = ("_build", "auto_examples", "generated")


def pages():
    rst = (file for file in (ROOT / "docs").rglob("*.rst") if not set(BUILT) & set(file.parts))
    docstrings = (ROOT / "muxlearn").rglob("*.py")
    return [ROOT / "README.md", *sorted(rst), *sorted(docstrings)]


def commands():
    for page in pages():
        text = page.read_text(encoding="utf-8")
        # Also where a line ends within a command.
        quoted = re.findall(r"`(?:python\s+-m\s+muxlearn\.benchmark|…)\s+([^`]+)`", text)
        # In a block of code a command ends with its line, unless a backslash is there.
        typed = re.findall(r"^ *python -m muxlearn\.benchmark ((?:.*\\\n)*.*)$", text, re.MULTILINE)
        shown = re.findall(r"^ *:command: (.*)$", text, re.MULTILINE)
        for command in [*quoted, *typed, *shown]:
            words = shlex.split(command.replace("\\\n", " "))
            if words[0].isidentifier() and words[0].islower():  # no placeholder
                yield pytest.param(words, id=f"{page.name}: {' '.join(words)}")


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_of_the_pages_is_understood(words, monkeypatch):
    asked = []
    module = import_module(f"muxlearn.benchmark.{words[0]}")
    monkeypatch.setattr(module, "main", lambda args: asked.append(args) or 0)
    assert main(words) == 0
    assert asked


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "docs/benchmarks/results").glob("*.json")),
    ids=lambda file: file.stem,
)
def test_a_result_names_no_folder_of_the_machine_that_measured_it(file):
    options = json.loads(file.read_text(encoding="utf-8"))["options"]
    assert [v for v in options.values() if isinstance(v, str) and "/" in v] == []
