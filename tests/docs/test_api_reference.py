import ast
import re
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path

import pytest

from muxlearn.benchmark.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
# What estimators are made of: of use to who works on them, and free to change.
INNER = {"estimators", "prediction", "rows", "tasks", "training"}
PAGES = [ROOT / "docs" / "api" / name for name in ("index.rst", "nn.rst")]


def public_modules():
    for file in sorted((ROOT / "muxlearn").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if INNER & set(parts[1:2]) or any(part.startswith("_") for part in parts):
            continue
        yield ".".join(parts), file


def exported_names():
    for module, file in public_modules():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield from (f"{module}.{name}" for name in ast.literal_eval(node.value))


def listed_names():
    for page in PAGES:
        module, in_table = "", False
        for line in page.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\.\. module:: (\S+)", line):
                module = match[1]
            elif match := re.match(r"\.\. py:data:: (\S+)", line):
                yield f"{module}.{match[1]}"
            elif line.startswith(".. "):
                in_table = line == ".. autosummary::"
            elif in_table and (match := re.match(r"   (\w+)$", line)):
                yield f"{module}.{match[1]}"


LISTED = list(listed_names())


def test_every_public_name_is_in_the_reference():
    assert set(exported_names()) - set(LISTED) == set()


@pytest.mark.parametrize("name", LISTED)
def test_every_name_of_the_reference_exists_and_says_what_it_is(name):
    module, _, attribute = name.rpartition(".")
    thing = getattr(import_module(module), attribute)
    assert thing.__doc__ or not (isclass(thing) or isroutine(thing))


def test_no_constant_is_described_by_the_docstring_of_its_type():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    in_tables = re.findall(r"^   (\w+)$", text, re.MULTILINE)
    things = {name.rpartition(".")[2]: name for name in LISTED}
    for name in filter(things.__contains__, in_tables):
        module, _, attribute = things[name].rpartition(".")
        thing = getattr(import_module(module), attribute)
        assert isclass(thing) or isroutine(thing), f"{name} needs a py:data entry of its own"


def test_no_name_is_listed_twice():
    assert len(LISTED) == len(set(LISTED))


def test_every_benchmark_is_in_the_reference():
    page = PAGES[0].read_text(encoding="utf-8")
    listed = re.findall(r"^   \* - ``(\w+)``$", page, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
