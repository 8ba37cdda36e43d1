"""A cell as a program: its file, whose line numbers are the cell's, the names it lacks, the modules that go with it."""

from __future__ import annotations

import ast
import builtins
import hashlib
import symtable
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm_lab.errors import CellNames
from swarm_lab.front.program import parse

# What a module has without binding it.
_MODULE_NAMES = frozenset(
    {"__name__", "__file__", "__doc__", "__builtins__", "__spec__", "__package__", "__annotations__"}
)


@dataclass(frozen=True, slots=True)
class Cell:
    """The body of a `%%swarm train` cell and the number of the cell, as its prompt shows it."""

    body: str
    number: int

    @property
    def name(self) -> str:
        """The program's file name."""
        return f"cell-{self.number}.py"

    @property
    def source(self) -> str:
        """The program: the magic's line is a comment, so that line numbers are those of the cell."""
        return f"# %%swarm train\n{self.body}"

    def write(self, folder: Path) -> Path:
        """Write it below `folder`, under a name of its own for each content: an earlier training keeps its program."""
        digest = hashlib.sha256(self.source.encode()).hexdigest()[:12]
        path = folder / digest / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.source, "utf-8")
        return path

    def check_names(self, elsewhere: Container[str]) -> None:
        """Raise `CellNames` for names that the program does not bind itself; `elsewhere` has those of other cells.

        Raises `BadProgram` for a syntax error.
        """
        missing = unbound(self.source, self.name)
        if missing:
            told = [
                f"{name} (line {line}) is defined {'in another cell' if name in elsewhere else 'nowhere'}"
                for name, line in missing.items()
            ]
            raise CellNames(f"the cell runs alone on every node: {'; '.join(told)}")


def unbound(source: str, name: str) -> dict[str, int]:
    """Names that a program reads and nothing in it binds, each with the first line that reads it.

    A program with `from x import *` may get any name from there: nothing is said of it.
    """
    tree = parse(source.encode(), name)
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return {}
    top = symtable.symtable(source, name, "exec")
    inner = [symbol for table in _tables(top) for symbol in table.get_symbols()]
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    # `global x` in a function binds x for the module as soon as the function has run.
    bound |= {s.get_name() for s in inner if s.is_declared_global() and s.is_assigned()}
    read = {s.get_name() for s in inner if s.is_global() and s.is_referenced()}
    read |= {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    missing = read - bound - _MODULE_NAMES - set(dir(builtins))
    lines = _first_lines(tree)
    return dict(sorted(((one, lines[one]) for one in missing if one in lines), key=lambda found: (found[1], found[0])))


def modules_beside(source: str, folder: Path) -> list[Path]:
    """The modules and packages in `folder` that a program imports, directly or through each other."""
    found: dict[Path, None] = {}
    waiting = [source]
    while waiting:
        for name in _imported(waiting.pop()):
            # The seats have their own: from a checkout of it, all of it would travel.
            path = None if name == "swarm_lab" else _module(folder, name)
            if path is None or path in found:
                continue
            found[path] = None
            files = [path] if path.is_file() else sorted(path.rglob("*.py"))
            waiting += [file.read_text("utf-8", "replace") for file in files]
    return list(found)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _tables(child)


def _first_lines(tree: ast.Module) -> Mapping[str, int]:
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    return lines


def _imported(source: str) -> Iterator[str]:
    """The first parts of what is imported; a file that is not Python imports nothing, and says so when it is run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _module(folder: Path, name: str) -> Path | None:
    if (folder / name / "__init__.py").is_file():
        return folder / name
    return folder / f"{name}.py" if (folder / f"{name}.py").is_file() else None
