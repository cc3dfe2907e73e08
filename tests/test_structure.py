"""Rules of the house, measured from the code's own imports and definitions."""

import ast
import importlib.util
import inspect
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import muxlearn
from muxlearn import (
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextClassifier,
    MuxTextEmbedder,
    MuxTextRegressor,
    MuxTokenTagger,
)
from muxlearn.estimators import MuxEstimator
from muxlearn.pretraining import MuxTextPretrainer

ROOT = Path(__file__).parents[1]

#: From the top: a part of the house imports from lower floors alone. The command line of a package,
#: `__main__`, is imported by nothing and may import everything.
FLOORS = (
    {"benchmark"},
    {
        "distributed",
        "export",
        "inspection",
        "model_selection",
        "parallel",
        "pretraining",
        "testing",
    },
    {"estimators"},
    {"prediction"},
    {"architectures"},
    {"backbones"},
    {"box"},
    {"training"},
    {"tasks"},
    {"metrics"},
    {"rows"},
    {"persistence"},
    {"datasets", "theory"},
    {"nn"},
    {"mixtures", "points"},
    {"_docs", "_params", "_timing", "_version", "_warnings"},
    {"_data_docs"},
)

#: A module of ours is imported late where that defers one of these, and for no other reason.
HEAVY = {
    "dask": "an engine that only some have",
    "huggingface_hub": "a model that is trained here needs no hub",
    "matplotlib": "an extra, needed by `plot` alone",
    "onnxruntime": "an extra, needed by exported models alone",
    "pandas": "an extra, needed by engines alone",
    "pyarrow": "files of tables alone need it",
    "pyspark": "an engine that only some have",
    "ray": "an engine that only some have",
    "skorch": "a model that is loaded and predicts needs no training",
    "torchvision": "texts need no networks on images",
    "transformers": "takes seconds, and an encoder of our own needs none of it",
}

#: Folders of tests that are not of the package, by what they test.
BESIDE = {"docs": "docs", "examples": "examples"}

ESTIMATORS = (
    MuxTextClassifier,
    MuxTextRegressor,
    MuxTokenTagger,
    MuxImageClassifier,
    MuxImageRegressor,
    MuxTextEmbedder,
    MuxTextPretrainer,
)

N_FILES_AT_ROOT = 12
N_LINES = 500

#: What every estimator sets for its class.
DECLARED = {"_constraints", "_kind"}


def _read_tools():
    spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "_ext" / "house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tools = _read_tools()
HOUSE = tools.read_house()


# Imports


@pytest.mark.parametrize(
    "whens",
    [
        pytest.param(["at once"], id="at once"),
        pytest.param(["at once", "late"], id="and late"),
        pytest.param(["at once", "late", "for types"], id="and for types"),
    ],
)
def test_there_are_no_circles(whens):
    assert tools.circles(tools.graph(HOUSE, whens)) == []


def test_imports_run_downwards():
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    edges = {
        name: targets
        for name, targets in tools.graph(HOUSE, ("at once", "late", "for types")).items()
        if not name.endswith("__main__")
    }
    between = tools.rooms(edges)
    assert set(between) - set(floor_of) == set(), "parts of the house that stand on no floor"
    upwards = {
        (room, target)
        for room, targets in between.items()
        for target in targets
        if floor_of[target] <= floor_of[room]
    }
    assert upwards == set()


def test_floors_name_no_room_twice():
    rooms = [room for floor in FLOORS for room in floor]
    assert len(rooms) == len(set(rooms))


@cache
def loaded_with(name):
    """Return the libraries that importing a module of ours imports at once."""
    seen, todo, libraries = set(), {name}, set()
    while todo:
        module = todo.pop()
        seen.add(module)
        for imported in HOUSE[module].imports:
            if imported.when == "at once":
                libraries.add(imported.target.partition(".")[0])
                if imported.target in HOUSE and imported.target not in seen:
                    todo.add(imported.target)
    return libraries


def test_a_late_import_of_ours_defers_a_heavy_library():
    needless = {
        (name, imported.target)
        for name, module in HOUSE.items()
        for imported in module.imports
        if imported.when == "late" and imported.target in HOUSE
        if not (loaded_with(imported.target) - loaded_with(name)) & set(HEAVY)
    }
    assert needless == set()


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("muxlearn", {"torch", "sklearn", "transformers"}),
        (
            "muxlearn.estimators",
            {"skorch", "torchvision", "transformers", "datasets"},
        ),
    ],
)
def test_an_import_takes_no_more_than_it_needs(module, spared):
    code = f"import sys, {module}; print(*sorted({spared!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_front_door_opens_to_what_it_names_alone():
    assert {getattr(muxlearn, name).__name__ for name in muxlearn.__all__} == set(muxlearn.__all__)
    assert set(muxlearn.__all__) <= set(dir(muxlearn))
    with pytest.raises(AttributeError, match="no attribute 'MuxText'"):
        _ = muxlearn.MuxText


# Private names


def may_use(importer, owner):
    """Whether a module may use what is private in a package: one in it, or below it, may."""
    return HOUSE[importer].package == owner or HOUSE[importer].package.startswith(f"{owner}.")


def owner_of(path):
    """Return the package whose own a dotted path is, None where it is public."""
    parts = path.split(".")
    private = [i for i, part in enumerate(parts) if is_private(part)]
    if not private:
        return None
    owner = ".".join(parts[: private[0]])
    return HOUSE[owner].package if owner in HOUSE else owner


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def test_no_private_name_of_another_package_is_imported():
    found = set()
    for name, module in HOUSE.items():
        for imported in module.imports:
            if imported.target not in HOUSE:
                continue
            for path in [f"{imported.target}.{n}" for n in imported.names] or [imported.target]:
                owner = owner_of(path)
                if owner is not None and not may_use(name, owner):
                    found.add((name, path))
    assert found == set()


@cache
def private_names():
    """Return by private name of an attribute where it is defined: package, or file at the root."""
    homes = defaultdict(set)
    for name, module in HOUSE.items():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    homes_of = [part.name] if isinstance(part, ast.FunctionDef) else []
                    targets = part.targets if isinstance(part, ast.Assign) else []
                    targets = [part.target] if isinstance(part, ast.AnnAssign) else targets
                    homes_of += [t.id for t in targets if isinstance(t, ast.Name)]
                    for found in homes_of:
                        homes[found].add(home_of(name))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                homes[node.attr].add(home_of(name))
    return {name: found for name, found in homes.items() if is_private(name)}


def home_of(module):
    """Return the package of a module; a file at the root is a home of its own."""
    package = HOUSE[module].package
    return module if package == tools.NAME else package


def is_own(node):
    """Whether an expression is `self`, `cls`, `type(self)` or `super()`."""
    return ast.unparse(node) in {"self", "cls", "super()", "type(self)"}


def reached(tree):
    """Yield the names of attributes that are used of other objects than one's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_own(node.value):
            yield node.attr
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"getattr", "hasattr", "setattr"}
            and isinstance(node.args[1], ast.Constant)
            and not is_own(node.args[0])
        ):
            yield node.args[1].value


def test_no_private_attribute_of_another_package_is_reached():
    homes = private_names()
    found = {
        (name, attribute)
        for name, module in HOUSE.items()
        for attribute in reached(module.tree)
        if attribute in homes and home_of(name) not in homes[attribute]
    }
    assert found == set()


# Tests


def test_a_folder_of_tests_is_one_of_the_package():
    tests = ROOT / "tests"
    folders = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")} - {Path()}
    tested = {folder: BESIDE.get(folder.parts[0], Path(tools.NAME, folder)) for folder in folders}
    assert {str(folder) for folder, of in tested.items() if not (ROOT / of).is_dir()} == set()


def test_a_test_at_the_root_is_of_a_module_there():
    modules = {file.stem.lstrip("_") for file in (ROOT / tools.NAME).glob("*.py")}
    tests = {file.stem.removeprefix("test_") for file in (ROOT / "tests").glob("test_*.py")}
    tests.remove("structure")  # is of the whole
    strange = {t for t in tests if not any(t == m or t.startswith(f"{m}_") for m in modules)}
    assert strange == set()


# Sizes


def test_few_files_stand_at_the_root():
    files = {file.name for file in (ROOT / tools.NAME).glob("*.py")}
    assert len(files) <= N_FILES_AT_ROOT, sorted(files)


def test_no_file_is_long():
    folders = (tools.NAME, "tests", "docs", "examples")
    long = {
        str(file.relative_to(ROOT)): n_lines
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        if "_build" not in file.parts
        if (n_lines := len(file.read_text(encoding="utf-8").splitlines())) > N_LINES
    }
    assert long == {}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_one_class_of_ours_stands_above_an_estimator(estimator):
    above = [c for c in estimator.__mro__[1:] if c.__module__.startswith(tools.NAME)]
    assert above == [MuxEstimator]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_estimator_overrides_nothing_private(estimator):
    """What differs is asked of its `_kind`, so that no base class calls upward."""
    own = {name for name in vars(estimator) if is_private(name)} - DECLARED
    assert own & set(dir(MuxEstimator)) == set()


@pytest.mark.parametrize(
    ("estimator", "most"),
    [
        (MuxTextClassifier, 28),
        (MuxTextRegressor, 28),
        (MuxTokenTagger, 26),
        (MuxImageClassifier, 26),
        (MuxImageRegressor, 26),
        (MuxTextEmbedder, 12),
        (MuxTextPretrainer, 26),
    ],
)
def test_a_constructor_takes_few_parameters(estimator, most):
    assert len(inspect.signature(estimator).parameters) <= most
