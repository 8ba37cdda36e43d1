"""`make lab`: JupyterLab with the welcome notebook open, in a folder of the user's own.

`python -m swarm_lab.experiments.lab [--folder FOLDER] [ARGUMENTS FOR jupyter lab]`. A notebook that is in the folder
already is the user's and stays as it is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from swarm_lab.experiments.baselines import Framework
from swarm_lab.experiments.notebooks import example_path, notebook_path

WELCOME = "welcome"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--folder", type=click.Path(path_type=Path), default=Path("~/swarm-lab"), show_default=True)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(folder: Path, arguments: Sequence[str]) -> None:
    """Put the notebooks where the user keeps them and become JupyterLab."""
    home = folder.expanduser().absolute()
    first = furnish(home)
    command = [sys.executable, "-m", "jupyterlab", *_for_root(), *_opening(first), *arguments]
    click.echo(f"JupyterLab opens in {home}. Ctrl-C here ends it; swarms go on, `swarm-lab down NAME` stops one.")
    os.chdir(home)
    # Not a child: Ctrl-C and the exit status are JupyterLab's own.
    os.execv(sys.executable, command)  # noqa: S606 - there is no shell to be without


def furnish(home: Path) -> Path:
    """Copy the notebooks that are not there yet; returns the one to open."""
    home.mkdir(parents=True, exist_ok=True)
    framework: Framework = "torch" if importlib.util.find_spec("torch") else "keras"
    for source in (example_path(WELCOME), notebook_path(framework)):
        if not (home / source.name).exists():
            shutil.copyfile(source, home / source.name)
    return home / f"{WELCOME}.ipynb"


def _opening(notebook: Path) -> list[str]:
    """As the default address, it is in the one that is printed as well, for a browser on another machine."""
    return [f"--LabApp.default_url=/lab/tree/{notebook.name}"]


def _for_root() -> list[str]:
    """Containers run as root, where Jupyter wants to be told that this is meant."""
    return ["--allow-root"] if os.geteuid() == 0 else []


if __name__ == "__main__":
    main()
