"""What travels to the seats: the program, the modules beside it that it imports, and the files that go with it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from swarm_lab.errors import BadProgram
from swarm_lab.nodes.staging import PROGRAM_LIMIT, program_digest

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """A program and what goes with it: `files` by path below the program's folder, the main program among them."""

    main: str
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """What the ledger holds of it, 64 hex characters."""
        return program_digest(self.files.items())


def gather(program: Path, extra: Iterable[Path] = ()) -> Bundle:
    """Collect a program; raises `BadProgram` for a syntax error (with its line), a missing file or too many bytes."""
    folder = program.absolute().parent
    found = _Found(folder)
    found.add(_read(program), program.absolute())
    for path in extra:
        for file in _below(path.absolute()):
            found.take(_place(file, path.absolute(), folder), _read(file))
    return Bundle(program.name, found.files)


def parse(source: bytes, name: str) -> ast.Module:
    """The syntax tree of a program; raises `BadProgram` with line and text of a syntax error."""
    try:
        return ast.parse(source, name)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise BadProgram(f"{name}, line {error.lineno}: {error.msg}: {line}") from error
    except ValueError as error:
        raise BadProgram(f"{name} is not Python: {error}") from error


class _Found:
    """The files found so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.size = 0

    def take(self, name: str, content: bytes) -> bool:
        """Add a file unless it is there; raises `BadProgram` beyond the limit."""
        if name in self.files:
            return False
        self.files[name] = content
        self.size += len(content)
        if self.size > PROGRAM_LIMIT:
            raise BadProgram(
                f"the program and its files exceed {PROGRAM_LIMIT // _MEGABYTE} MB at {name}",
                next_step="put what is large into the data folders; only code and small files travel",
            )
        return True

    def add(self, content: bytes, path: Path) -> None:
        """Add a module and, in turn, what it imports from beside the program."""
        name = path.relative_to(self.folder).as_posix()
        if not self.take(name, content):
            return
        package = path.parent.relative_to(self.folder).parts
        for module in _imports(parse(content, name), package):
            for found in self._resolve(module):
                self.add(_read(found), found)

    def _resolve(self, module: tuple[str, ...]) -> Iterator[Path]:
        """The files that importing `a.b.c` runs, as far as they lie below the folder."""
        if module[:1] == ("swarm_lab",):
            return  # every seat has it; beside a program it lies in a checkout of this project only
        here = self.folder
        for part in module:
            if (here / part / "__init__.py").is_file():
                yield here / part / "__init__.py"
            elif (here / f"{part}.py").is_file():
                yield here / f"{part}.py"
                return
            elif not (here / part).is_dir():
                return
            here = here / part


def _imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = (*start, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield (*base, alias.name)


def _below(path: Path) -> list[Path]:
    """The files of a folder, or the file itself; raises `BadProgram` when there is neither."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadProgram(f"--files {path}: there is no such file or folder")
    found = [p for p in sorted(path.rglob("*")) if p.is_file()]
    return [p for p in found if not any(_hidden(part) for part in p.relative_to(path).parts)]


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__pycache__"


def _place(file: Path, given: Path, folder: Path) -> str:
    """Where a file lies for the program: as beside the original, or below the name that was given."""
    base = folder if file.is_relative_to(folder) else given.parent
    return file.relative_to(base).as_posix()


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > PROGRAM_LIMIT:
            raise BadProgram(f"{path} exceeds {PROGRAM_LIMIT // _MEGABYTE} MB")
        return path.read_bytes()
    except OSError as error:
        raise BadProgram(f"{path} cannot be read: {error.strerror}") from error
