"""`make demo`: executes the quickstart on a swarm of its own, takes everything down, prints the table.

`python -m swarm_lab.experiments.demo [--framework torch|keras] [--output FOLDER]`. Everything that it makes, the
swarm's own files among it, lies below the output folder; swarms of the user are not touched.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from swarm_lab.errors import SwarmLabError
from swarm_lab.experiments.baselines import Framework
from swarm_lab.experiments.notebooks import notebook_path
from swarm_lab.experiments.progress import CellLog, Progress, Watcher
from swarm_lab.experiments.result import read_result
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.swarm import Swarm

NAME = "demo"
"""The swarm's name in the notebook."""


@click.command()
@click.option("--framework", type=click.Choice(["torch", "keras"]), default="torch", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("demo-output"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="repetitions of each training")
def main(framework: Framework, output: Path, seeds: int) -> None:
    """Execute the quickstart notebook and show what came of it."""
    sys.exit(run(framework, output.absolute(), seeds, Progress(sys.stdout)))


def run(framework: Framework, output: Path, seeds: int, progress: Progress) -> int:
    """Returns the exit status: 0 only if the notebook ran to its end and wrote a good result."""
    output.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_DATA_HOME"] = str(output / "swarms")
    result_path = output / "RESULT.json"
    result_path.unlink(missing_ok=True)
    executed = output / "quickstart.ipynb"
    _take_down(progress, purge=True)
    failure: str | None = None
    with _ended_by_signals(), Watcher(SwarmPaths.of(NAME).root, progress) as watcher:
        try:
            failure = _execute(framework, output, executed, seeds, progress)
        except KeyboardInterrupt:
            failure = "interrupted"
        finally:
            with _undisturbed():
                clean = _take_down(progress)
    page = _page(executed)
    return _conclude(
        result_path, page, failure if clean else failure or "the swarm was not taken down", watcher, progress
    )


def _execute(framework: Framework, output: Path, executed: Path, seeds: int, progress: Progress) -> str | None:
    """Run the notebook; returns what went wrong."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source = notebook_path(framework)
    progress.say(f"executing {source.name}; the executed copy grows in {executed}")
    log = logging.getLogger("papermill")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = CellLog(progress)
    log.addHandler(handler)
    try:
        papermill.execute_notebook(
            str(source),
            str(executed),
            parameters={"framework": framework, "folder": str(output), "seeds": seeds},
            cwd=str(output),
            progress_bar=False,
            log_output=True,
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        return f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"
    except Exception as error:  # noqa: BLE001 - a kernel that died, a full disk: the swarm must come down whatever it is
        return f"{type(error).__name__}: {error}"
    finally:
        log.removeHandler(handler)
    return None


def _take_down(progress: Progress, *, purge: bool = False) -> bool:
    """End what runs of the demo's swarm, also what an earlier, killed demo left; returns whether nothing runs."""
    if not SwarmPaths.of(NAME).swarm.exists():
        return True
    try:
        Swarm.attach(NAME).down(purge=purge)
    except SwarmLabError as error:
        progress.say(str(error))
        return False
    return True


def _page(executed: Path) -> Path | None:
    """The executed notebook as HTML, its pictures inside."""
    if not executed.exists():
        return None
    from nbconvert import exporters

    page = executed.with_suffix(".html")
    exporter: Any = exporters.HTMLExporter  # nbconvert has no types
    body, _ = exporter().from_filename(str(executed))
    page.write_text(body, "utf-8")
    return page


def _conclude(result_path: Path, page: Path | None, failure: str | None, watcher: Watcher, progress: Progress) -> int:
    """Print the table and where to look. What papermill says of cells counts for nothing: only the result does."""
    found = read_result(result_path)
    if found is not None:
        result, scores = found
        progress.say("mean ± spread over the seeds, on test rows that nobody trained on")
        print(f"\n{scores.table().to_string()}\n")
        first = "-" if watcher.first_round is None else f"{watcher.first_round:.0f} s"
        print(f"first round committed after {first}, the table after {progress.seconds:.0f} s")
        if not result["verified"]:
            failure = failure or "the evidence of the training does not hold"
    for name, path in (
        ("executed notebook", page.with_suffix(".ipynb") if page else None),
        ("the same as a page", page),
        ("result", result_path if found else None),
    ):
        if path is not None:
            print(f"{name:>18}: {path}")
    good = found is not None and bool(found[0]["ok"]) and failure is None
    if not good:
        print(f"the demo failed: {failure or 'the notebook wrote no result'}", file=sys.stderr)
    return 0 if good else 1


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that the swarm comes down."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not stop the taking down."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
