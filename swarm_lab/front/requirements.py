"""Whether the environment of the seats has what a program's requirements.txt asks for."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from swarm_lab.errors import BadProgram, BadRequirements


def check_requirements(path: Path) -> None:
    """Raise `BadRequirements` naming each package that is missing or has another version.

    A line that pip would read but that names no package and version (an option, an address, another file) cannot be
    checked and raises `BadProgram` with its number.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadProgram(f"-r {path} cannot be read: {error}") from error
    lacking = []
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not text:
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BadProgram(f"{path}, line {number}: {text!r} is not a package and version") from error
        fault = _fault(requirement)
        if fault is not None:
            lacking.append(fault)
    if lacking:
        raise BadRequirements(f"{path.name}: {'; '.join(lacking)}")


def _fault(requirement: Requirement) -> str | None:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement} is asked for, {version} is installed"
    return None
