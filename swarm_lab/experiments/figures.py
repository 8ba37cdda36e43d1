"""The pictures of the demo: how skewed the nodes' data is, and how good each way of training turned out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from swarm_lab.experiments.scores import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ALONE = "#b0bec5"
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


def comparison_figure(scores: Scores, measure: str = "accuracy") -> Figure:
    """One panel a data set, one bar a way of training: mean over the seeds with their spread."""
    means, spreads = scores.means()[measure], scores.spreads()[measure].fillna(0.0)
    datasets = list(dict.fromkeys(means.index.get_level_values("data")))
    figure = _figure(4.4 * len(datasets), 3.2)
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    for axes, data in zip(panels, datasets, strict=True):
        ways = list(means[data].index)
        bars = axes.bar(
            [f"{way}\nalone" if way not in _COLOURS else way for way in ways],
            means[data],
            yerr=spreads[data],
            color=[_COLOURS.get(way, _ALONE) for way in ways],
            error_kw={"elinewidth": 1, "capsize": 3},
        )
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize="small")
        axes.set_ylim(0, 1.1)
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.set_title(data.replace("_", " "), fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", labelsize="small", length=0)
    panels[0].set_ylabel(f"{measure} on common test rows")
    return figure


def _figure(width: float, height: float) -> Figure:
    """A figure that a notebook shows once: where it is returned, not also when its cell ends."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(width, height), layout="constrained")
    pyplot.close(figure)
    return figure
