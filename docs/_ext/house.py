"""Read from the code which modules import which; ``.. house::`` lists the packages from that.

`read_house` parses the files and runs none. ``tests/test_structure.py`` holds the rules.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAME = "muxlearn"
FOLDER = Path(__file__).parents[2] / NAME


@dataclass(frozen=True)
class Import:
    """One import of a module by another.

    Attributes
    ----------
    target : str
        The module; of ``from a.b import c``, a.b.c where that is a module of ours, else a.b.
    names : tuple of str
        What is imported from it; empty where that is the module itself.
    when : {"at once", "late", "for types"}
        At the top of a module, within a function, or below ``if TYPE_CHECKING``.
    line : int
    """

    target: str
    names: tuple[str, ...]
    when: str
    line: int


@dataclass(frozen=True)
class Module:
    """A module as it is written.

    Attributes
    ----------
    name : str
    file : Path
    tree : ast.Module
    imports : list of Import
    """

    name: str
    file: Path
    tree: ast.Module = field(repr=False)
    imports: list[Import] = field(repr=False)

    @property
    def is_face(self) -> bool:
        """Whether it is the ``__init__`` of a package."""
        return self.file.name == "__init__.py"

    @property
    def package(self) -> str:
        """The package that it belongs to, which is itself where it is a face."""
        return self.name if self.is_face else self.name.rpartition(".")[0]

    @property
    def n_lines(self) -> int:
        """Lines of the file."""
        return len(self.file.read_text(encoding="utf-8").splitlines())


def read_house(folder: Path = FOLDER) -> dict[str, Module]:
    """Return all modules below a folder by their names."""
    files = {}
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    house = {}
    for name, file in files.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        house[name] = Module(name, file, tree, list(_imports(tree, package, files)))
    return house


def _imports(tree: ast.Module, package: str, known: Iterable[str]) -> Iterator[Import]:
    for node, when in _walk(tree, "at once"):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), when, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names = []
            for alias in node.names:
                if f"{base}.{alias.name}" in known:
                    yield Import(f"{base}.{alias.name}", (), when, node.lineno)
                else:
                    names.append(alias.name)
            if names:
                yield Import(base, tuple(names), when, node.lineno)


def _walk(node: ast.AST, when: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield all parts of a module with the time at which they run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = "late"
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            inner = "for types"
        else:
            inner = when
        yield child, inner
        yield from _walk(child, inner)


def room_of(name: str) -> str:
    """Return which part of the house a module stands in: a folder, or a file at the root."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else NAME


def graph(house: Mapping[str, Module], whens: Iterable[str] = ("at once",)) -> dict[str, set[str]]:
    """Return which modules of ours each module imports."""
    whens = set(whens)
    return {
        name: {
            imported.target
            for imported in module.imports
            if imported.when in whens and imported.target in house and imported.target != name
        }
        for name, module in house.items()
    }


def rooms(edges: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Return which rooms each room imports, the front door apart."""
    between: dict[str, set[str]] = {}
    for name, targets in edges.items():
        if name == NAME:
            continue
        own = between.setdefault(room_of(name), set())
        own |= {room_of(target) for target in targets} - {room_of(name), NAME}
    return between


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other, each sorted (Tarjan's algorithm)."""
    numbers: dict[str, int] = {}
    lows: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        numbers[node] = lows[node] = len(numbers)
        stack.append(node)
        for target in edges.get(node, ()):
            if target not in numbers:
                visit(target)
                lows[node] = min(lows[node], lows[target])
            elif target in stack:
                lows[node] = min(lows[node], numbers[target])
        if lows[node] == numbers[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in edges.get(node, ()):
                found.append(sorted(group))

    for node in edges:
        if node not in numbers:
            visit(node)
    return sorted(found)
