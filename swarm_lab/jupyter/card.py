"""A training as HTML: one card with its progress, curves, nodes and failures. No scripts: a saved page shows it too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

from swarm_lab.facts.phases import lasting
from swarm_lab.jupyter.chart import Line, line_chart, swatch
from swarm_lab.jupyter.icons import icon, state_html
from swarm_lab.jupyter.picture import Curves, Failure, Picture, Row, mean_curve

_LINES_APART = 12
"""Above this many nodes their lines cannot be told apart; only the mean is drawn."""


@cache
def style() -> str:
    """The style sheet, to be sent with each output: a saved notebook has nothing else."""
    return f"<style>{files('swarm_lab.jupyter').joinpath('style.css').read_text('utf-8')}</style>"


def card(shot: Picture) -> str:
    """The whole output of `%%swarm train`."""
    return (
        f'{style()}<section class="swl-Output" aria-label="Training {escape(shot.training)}">'
        f"{_head(shot)}{_charts(shot)}{_table(shot)}"
        f"{''.join(_failure(failure) for failure in shot.failures)}{_output(shot)}{_foot(shot)}</section>"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number of a table, with a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _head(shot: Picture) -> str:
    rounds = f"{shot.round} round{'' if shot.round == 1 else 's'}" if shot.over else f"Round {shot.round + 1}"
    percent = round(100 * shot.share)
    bar = (
        ""
        if shot.over
        else f'<span class="swl-Bar" role="progressbar" aria-label="Round {shot.round + 1}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></span>'
    )
    return (
        # The spaces count where a notebook is not trusted: without style sheet and drawings only the text is left.
        f'<div class="swl-Head">{state_html(shot.state)} <b>Training {escape(shot.training)}</b> '
        f'<span class="swl-2">on {escape(shot.swarm)}, {shot.active} of {len(shot.rows)} nodes</span> '
        f'<span class="swl-grow"></span><b>{rounds}</b> {bar}<span class="swl-2">{duration(shot.seconds)}</span></div>'
    )


def _charts(shot: Picture) -> str:
    figures = [
        _figure(title, merged, local, shot.rows)
        for title, merged, local in (
            ("Loss", shot.losses, shot.local_losses),
            ("Metric", shot.metrics, shot.local_metrics),
        )
        if merged
    ]
    if not figures:
        return ""
    only = " is-only" if len(figures) == 1 else ""
    return (
        '<div class="swl-Charts">' + "".join(f'<figure class="{only}">{body}</figure>' for body in figures) + "</div>"
    )


def _figure(title: str, merged: Curves, local: Curves, rows: Sequence[Row]) -> str:
    """The merged model by node and on average, and on average the nodes' own models, before the merges."""
    mean, before = mean_curve(merged), mean_curve(local)
    lines = [Line(row.node, merged[row.node], row.place) for row in rows if row.node in merged]
    if len(lines) > _LINES_APART:
        lines = []
    means = [Line("merged" if before else "mean", mean)]
    said = f"mean {number(mean[-1][1])}"
    spoken = f"{title} by round: mean {number(mean[-1][1])} in round {mean[-1][0]:.0f}"
    if before:
        means.append(Line("local", before, local=True))
        said += f" merged, {number(before[-1][1])} before the merge,"
        spoken += f", before the merge {number(before[-1][1])} in round {before[-1][0]:.0f}"
    return (
        f'<figcaption><b>{title}</b> <span class="swl-2">{said} on the nodes\' own validation data</span>'
        f"</figcaption> {line_chart([*lines, *means], spoken)}"
    )


def _table(shot: Picture) -> str:
    head = (
        '<tr><th>Node</th><th>State</th><th class="r">Batches</th><th class="r">Loss</th><th class="r">Metric</th>'
        '<th class="note">Note</th></tr>'
    )
    body = "".join(
        f'<tr><td><span class="swl-Name">{swatch(row.place)}{escape(row.node)}</span></td>'
        f"<td>{state_html(row.state)}{_lasting(row)}</td>"
        f'<td class="r">{"–" if row.batches is None else row.batches}</td>'
        f'<td class="r">{number(row.loss)}</td><td class="r">{number(row.metric)}</td>'
        f'<td class="note">{escape(row.note)}</td></tr>'
        for row in shot.rows
    )
    return (
        f'<div class="swl-Scroll"><table class="swl-Table" aria-label="Nodes of {escape(shot.training)}">'
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def _lasting(row: Row) -> str:
    return "" if row.seconds is None else f' <span class="swl-2">{lasting(row.seconds)}</span>'


def _failure(failure: Failure) -> str:
    code = f' <span class="swl-mono">{escape(failure.code)}</span>' if failure.code else ""
    place = f'<div class="swl-2">{escape(failure.place)}</div>' if failure.place else ""
    text = failure.traceback or failure.message
    return (
        f'<div class="swl-Trace" role="alert">{icon("failed", "bad")} '
        f"<b>The program failed on {escape(', '.join(failure.nodes))}</b>{code}{place}<pre>{escape(text)}</pre></div>"
    )


def _output(shot: Picture) -> str:
    if not shot.output:
        return ""
    lines = "\n".join(f"{node}  {line}" for node, line in shot.output)
    return f'<details class="swl-Trace"><summary>Output of the programs</summary><pre>{escape(lines)}</pre></details>'


def _foot(shot: Picture) -> str:
    parts = []
    if shot.round_seconds is not None:
        parts.append(f"last round {duration(shot.round_seconds)}")
    if shot.digest:
        parts.append(f'model <span class="swl-mono" title="{escape(shot.digest)}">{escape(shot.digest[:12])}…</span>')
    note = escape(shot.note)
    if not parts and not note:
        return ""
    return f'<div class="swl-Foot">{" · ".join([*parts, *([note] if note else [])])}</div>'
