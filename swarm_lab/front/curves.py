"""Curves of a training's history: what each merge did to loss or metric, on the nodes' own validation data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LINES_APART = 8
"""Above this many nodes their lines cannot be told apart: only the means are drawn."""


def draw(history: pd.DataFrame, value: str = "loss", *, nodes: bool = True, axes: Axes | None = None) -> Axes:
    """Draw `loss` or `metric` of a history over its rounds: the merged model solid, local ones before the merge dashed.

    One colour a node and the means in black; only the means with `nodes=False` or for many nodes. `axes`: where to
    draw, else new ones.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    where: Axes = pyplot.subplots(layout="constrained")[1] if axes is None else axes
    kinds = [(value, "-"), (f"local_{value}", "--")]
    tables = [(history.pivot(index="round", columns="node", values=name), style) for name, style in kinds]
    names = list(tables[0][0].columns) if nodes and history["node"].nunique() <= _LINES_APART else []
    for place, node in enumerate(names):
        for table, style in tables:
            label = node if style == "-" else "_"  # one entry of the legend for both lines of a node
            where.plot(table.index, table[node], style, color=f"C{place}", linewidth=1, alpha=0.6, label=label)
    for (table, style), label in zip(tables, ("mean, merged", "mean, before the merge"), strict=True):
        if table.notna().any(axis=None):
            where.plot(table.index, table.mean(axis=1), style, color="black", linewidth=1.8, label=label)
    where.set_xlabel("round")
    where.set_ylabel(f"{value} on the nodes' validation data")
    where.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no round 2.5
    where.spines[["top", "right"]].set_visible(False)
    if where.get_legend_handles_labels()[0]:
        where.legend(frameon=False, fontsize="small")
    return where
