"""The pictures of the demo: how skewed the nodes' data is, and how good each way of training turned out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from swarm_lab.experiments.scores import Scores, is_single
from swarm_lab.front.curves import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ALONE, _OTHER_SWARM = "#b0bec5", "#90caf9"
_COLOURS = {"swarm": "#1976d2", "central": "#37474f"}


def skew_figure(counts: pd.DataFrame) -> Figure:
    """Rows per node, by class: bars of the table that `prepare` gives."""
    from matplotlib import colormaps

    figure = _figure(8, 2.6)
    axes = figure.subplots()
    colours = colormaps["tab10"](np.arange(len(counts.columns)) % 10)
    left = np.zeros(len(counts))
    for colour, name in zip(colours, counts.columns, strict=True):
        axes.barh(counts.index, counts[name], left=left, color=colour, label=name, height=0.7)
        left += counts[name].to_numpy()
    axes.invert_yaxis()
    axes.set_xlabel("rows")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="class", ncols=2, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    return figure


def comparison_figure(scores: Scores, *measures: str) -> Figure:
    """One panel a data set and measure (the first one unless some are named), one bar a way of training.

    A bar is the mean over the seeds, with their spread where there are several.
    """
    names = measures or scores.measures[:1]
    means, spreads = scores.means(), scores.spreads().fillna(0.0)
    datasets = list(dict.fromkeys(means.index.get_level_values("data")))
    places = [(data, name) for data in datasets for name in names]
    figure = _figure(4.4 * max(len(places), 1.5), 3.2)
    panels = figure.subplots(1, len(places), squeeze=False)[0]
    for axes, (data, name) in zip(panels, places, strict=True):
        _bars(axes, means.loc[data, name], spreads.loc[data, name])
        axes.set_title(data.replace("_", " "), fontsize="medium")
        if len(names) > 1 or axes is panels[0]:
            axes.set_ylabel(f"{name} on common test rows")
    return figure


def rounds_figure(history: pd.DataFrame) -> Figure:
    """Loss and metric over the rounds of a training's `history`, means of the nodes: merged, and before each merge."""
    figure = _figure(8, 2.8)
    for axes, value in zip(figure.subplots(1, 2), ("loss", "metric"), strict=True):
        draw(history, value, nodes=False, axes=axes)
    return figure


def _bars(axes: Axes, means: pd.Series[float], spreads: pd.Series[float]) -> None:
    ways = list(means.index)
    bars = axes.bar(
        [f"{way}\nalone" if is_single(way) else way.replace(" ", "\n", 1) for way in ways],
        means,
        yerr=spreads if spreads.any() else None,
        color=[_COLOURS.get(way, _ALONE if is_single(way) else _OTHER_SWARM) for way in ways],
        error_kw={"elinewidth": 1, "capsize": 3},
    )
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize="small")
    axes.set_ylim(0, 1.1)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize="small", length=0)


def _figure(width: float, height: float) -> Figure:
    """A figure that a notebook shows once: where it is returned, not also when its cell ends."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(width, height), layout="constrained")
    pyplot.close(figure)
    return figure
