"""`%swarm` and `%%swarm`: the verbs in a notebook, with the same options as in a shell."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from pydantic import BaseModel

from swarm_lab.errors import SwarmLabError, SwarmRuns, TrainingFailed, UsageError
from swarm_lab.front.options import AttachOptions, TrainOptions, UpOptions
from swarm_lab.front.status import SwarmStatus
from swarm_lab.front.training import Training, check
from swarm_lab.jupyter.answers import ANSWERS, error_block, html_of, plain_dict, text_of
from swarm_lab.jupyter.call import PROMPT, Call, LastOptions, read_call, take_target
from swarm_lab.jupyter.card import duration, style
from swarm_lab.jupyter.cell import Cell, modules_beside
from swarm_lab.jupyter.completion import swarm_matcher
from swarm_lab.jupyter.live import LiveTraining, NotebookShow, still
from swarm_lab.jupyter.view import training_widget
from swarm_lab.spec import DEFAULT_NAME
from swarm_lab.swarm import Swarm
from swarm_lab.verbs import start, verb


class Steps:
    """What a verb says while it works, as lines of one output that is kept up to date."""

    def __init__(self, show: NotebookShow) -> None:
        self._show = show
        self._since = time.monotonic()
        self._lines: list[tuple[float, str]] = []

    def say(self, line: str) -> None:
        """Add a line with the seconds since the beginning."""
        self._lines.append((time.monotonic() - self._since, line))
        self._draw(opened=True)

    def done(self) -> None:
        """Fold the lines away: the verb's answer follows."""
        if self._lines:
            self._draw(opened=False)

    def _draw(self, *, opened: bool) -> None:
        text = "\n".join(f"{duration(seconds):>7}  {said}" for seconds, said in self._lines)
        took = duration(time.monotonic() - self._since)
        html = (
            f'{style()}<div class="swl-Output"><details class="swl-Trace"{" open" if opened else ""}>'
            f"<summary>{'Working' if opened else 'Done'}, {took}</summary><pre>{escape(text)}</pre></details></div>"
        )
        self._show({"text/html": html, "text/plain": text})

    def event(self, event: Mapping[str, Any]) -> None:
        """Trainings are shown by `LiveTraining`."""

    def line(self, node: str, line: str) -> None:
        """A line of a log, as it comes."""
        print(line, flush=True)


@magics_class
class SwarmMagics(Magics):
    """The magics of swarm-lab."""

    shell: InteractiveShell

    @line_cell_magic
    def swarm(self, line: str, cell: str | None = None) -> Any:
        """Run a verb of swarm-lab: `%swarm status`, `%swarm up --name demo --sl 4`; `%swarm --help` lists them.

        `%%swarm train --data DIR -o run` sends the rest of the cell as the program to every node that learns and
        shows the training while it runs. `run` is then its handle: `run.history`, `run.model`, `run.nodes`,
        `run.plot()`. Interrupting the cell detaches: the training goes on, `%swarm attach` shows it again,
        `%swarm stop` ends it. `run = %swarm last` gives the handle of the last training.
        """
        try:
            words, target = take_target(_split(line))
            if cell is not None:
                words = self._with_program(words, cell)
            call = read_call(words)
            return None if call is None else self._run(call, target, cell)
        except SwarmLabError as error:
            # IPython shows what this gives instead of a traceback.
            block = error_block(error)
            error._render_traceback_ = lambda: block  # type: ignore[attr-defined]
            raise

    def _run(self, call: Call, target: str | None, cell: str | None) -> Any:
        options = call.options
        if isinstance(options, TrainOptions):
            return self._train(options, target, cell)
        if isinstance(options, AttachOptions):
            return self._follow(Swarm.attach(options.name).training(options.training), target)
        if isinstance(options, LastOptions):
            return Swarm.attach(options.name).training()
        if target is not None:
            raise UsageError(f"-o is for train and attach; write `{target} = {PROMPT} {call.verb}`")
        steps = Steps(NotebookShow())
        try:
            answer = verb(call.verb).run(options, steps)
        except SwarmRuns as error:
            # A cell is run again more often than a second swarm of the same name is wanted.
            answer = _attached(options, error, steps)
        steps.done()
        return plain_dict(answer) if call.json else answer

    def _train(self, options: TrainOptions, target: str | None, cell: str | None) -> Any:
        if cell is not None:
            options = self._checked(options, cell)
        training = start(options, _Silent())
        if options.detach:
            return self._keep(training, target)
        return self._follow(training, target)

    def _follow(self, training: Training, target: str | None) -> None:
        self._keep(training, target)
        swarm = training.facts.name
        widget = training_widget(training.id, swarm)
        show = NotebookShow(widget)
        live = LiveTraining(training.id, swarm, show, widget=widget, when_over=show.end)
        last = live.follow(
            training.events(),
            detached=f"Detached. {training.id} goes on; `{PROMPT} attach {training.id} --name {swarm}` shows it again, "
            f"`{PROMPT} stop {training.id} --name {swarm}` ends it.",
        )
        if last is not None:
            _check(training, last)

    def _keep(self, training: Training, target: str | None) -> Training:
        if target is not None:
            self.shell.user_ns[target] = training
        return training

    def _with_program(self, words: list[str], cell: str) -> list[str]:
        """The words of `%%swarm train` with the cell's file in the place of PROGRAM."""
        if words[:1] != ["train"]:
            given = " ".join(words[:1]) or "nothing"
            raise UsageError(f"only `train` takes a cell, not {given}", next_step=f"write `%{PROMPT} train ...`")
        return ["train", self._cell(cell).name, *words[1:]]

    def _checked(self, options: TrainOptions, body: str) -> TrainOptions:
        """Options with the program's file, once the names it uses were looked at."""
        cell = self._cell(body)
        here = Path.cwd()
        modules = modules_beside(cell.source, here)
        cell.check_names(self.shell.user_ns)
        program = cell.write(Swarm.attach(options.name).paths.root / "cells")
        return options.model_copy(update={"program": program, "files": (*options.files, *modules)})

    def _cell(self, body: str) -> Cell:
        return Cell(body, self.shell.execution_count)


class _Silent:
    """Where the lines of `start` go: the live output says the same."""

    def say(self, line: str) -> None:
        """Nothing."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Nothing."""

    def line(self, node: str, line: str) -> None:
        """Nothing."""


def _attached(options: BaseModel, error: SwarmRuns, steps: Steps) -> SwarmStatus:
    """The swarm that `up` found running; raises `error` again where there is none, but another `up` at work."""
    swarm = Swarm.attach(options.name or DEFAULT_NAME) if isinstance(options, UpOptions) else None
    if swarm is None or not swarm.running:
        raise error
    steps.say(f"{swarm.name} runs already: attached to it")
    return swarm.status()


def _check(training: Training, last: Mapping[str, Any]) -> None:
    """Fail the cell where the training failed; what the nodes said stands in its output already, and only there."""
    failed = last.get("failed") or {}
    if last.get("state") == "failed" and failed:
        raise TrainingFailed(f"{training.id} failed on {', '.join(failed)}; what happened there stands above")
    check(last)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"the line cannot be read: {error}", next_step="close the quotes") from None


def load_ipython_extension(shell: Any) -> None:
    """Register the magics, their completion, and how answers are shown."""
    unload_ipython_extension(shell)
    shell.register_magics(SwarmMagics(shell))
    shell.Completer.custom_matchers.append(swarm_matcher)
    html, plain = (shell.display_formatter.formatters[kind] for kind in ("text/html", "text/plain"))
    for answer in ANSWERS:
        html.for_type(answer, html_of)
        plain.for_type(answer, lambda found, printer, _cycle: printer.text(text_of(found)))
    html.for_type(Training, lambda training: still(training)["text/html"])
    plain.for_type(Training, lambda training, printer, _cycle: printer.text(still(training)["text/plain"]))


def unload_ipython_extension(shell: Any) -> None:
    """Take everything away again."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("swarm", None)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if matcher is not swarm_matcher]
