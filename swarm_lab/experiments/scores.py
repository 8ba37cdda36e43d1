"""How good a model is on the common test rows, and the table that compares ways of training over several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from swarm_lab.experiments.baselines import Framework
from swarm_lab.experiments.data import Floats, Labels

_KEYS = ("data", "way", "seed")
TOLERANCE = 0.02
"""The swarm may be this much below the best single node (first measure, 0 to 1) before a notebook fails."""


@dataclass(frozen=True, slots=True)
class Score:
    """One model on the test rows. All between 0 and 1: F1 is the mean over classes, AUC one class against the rest."""

    accuracy: float
    f1: float
    auc: float


class Scores:
    """Scores by data set, way of training (a node's name, `swarm`, `central`) and seed.

    What is measured is the same for all of them: each measure between 0 and 1, more is better, the first one counts.
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Scores:
        """The scores of `frame().to_dict("records")`."""
        made = cls()
        made._rows = [dict(row) for row in rows]
        return made

    @property
    def measures(self) -> list[str]:
        """What is measured, in the order of the first score; the first one decides."""
        return [name for name in (self._rows[0] if self._rows else ()) if name not in _KEYS]

    def add(self, data: str, way: str, seed: int, score: Score | Mapping[str, float]) -> None:
        """Note one score, or the values of measures of one's own by name; the names are those of the first score."""
        values = asdict(score) if isinstance(score, Score) else {name: float(value) for name, value in score.items()}
        if self._rows and set(values) != set(self.measures):
            raise ValueError(f"{way} was measured by {', '.join(values)}, the others by {', '.join(self.measures)}")
        self._rows.append({"data": data, "way": way, "seed": seed, **values})

    def last(self, way: str, measure: str | None = None) -> float:
        """The score of `way` that was added last, by the first measure unless another is named."""
        return float(next(row[measure or self.measures[0]] for row in reversed(self._rows) if row["way"] == way))

    def frame(self) -> pd.DataFrame:
        """All scores: a row each, columns data, way, seed and the measures."""
        return pd.DataFrame(self._rows, columns=[*_KEYS, *self.measures])

    def means(self) -> pd.DataFrame:
        """Mean over the seeds; index (data, way) in the order of adding."""
        return self.frame().groupby(["data", "way"], sort=False)[self.measures].mean()

    def spreads(self) -> pd.DataFrame:
        """Standard deviation over the seeds (of the sample, NaN for a single seed); same index as `means`."""
        return self.frame().groupby(["data", "way"], sort=False)[self.measures].std()

    def table(self) -> pd.DataFrame:
        """`mean ± spread` as text, for people; the mean alone where there is one seed."""
        means, spreads = self.means(), self.spreads()
        return pd.DataFrame(
            {name: [_shown(m, s) for m, s in zip(means[name], spreads[name], strict=True)] for name in self.measures},
            index=means.index,
        )

    def shortfalls(self) -> dict[str, str]:
        """Data sets on which the swarm is more than `TOLERANCE` below the best single node, with a sentence each."""
        found = {}
        if not self._rows:
            return {}
        values = self.means()[self.measures[0]]
        for data in dict.fromkeys(values.index.get_level_values("data")):
            ways = values[data]
            single = ways[[is_single(way) for way in ways.index]]
            if ways["swarm"] < single.max() - TOLERANCE:
                best = f"{single.idxmax()} alone has {single.max():.3f}"
                found[str(data)] = f"{data}: the swarm has {ways['swarm']:.3f}, but {best}"
        return found


def is_single(way: str) -> bool:
    """Whether a way of training is one node alone; `swarm by rows`, say, is another way of a swarm."""
    return way != "central" and not way.startswith("swarm")


def score(framework: Framework, model: Any, x: Floats, y: Labels) -> Score:
    """Score a model whose outputs are logits; `x` float32 (rows, features), `y` int64 (rows,)."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    chances = _softmax(_logits(framework, model, x))
    best = chances.argmax(axis=1)
    auc = roc_auc_score(y, chances[:, 1] if chances.shape[1] == 2 else chances, multi_class="ovr")
    return Score(float(accuracy_score(y, best)), float(f1_score(y, best, average="macro")), float(auc))


def with_parameters(framework: Framework, model: Any, parameters: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Put a swarm's merged parameters (torch `state_dict` keys, Keras variable paths) into `model`; returns it."""
    if framework == "torch":
        import torch

        model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in parameters.items()})
        return model
    for variable in model.weights:
        variable.assign(parameters[variable.path])
    return model


def _logits(framework: Framework, model: Any, x: Floats) -> npt.NDArray[np.float64]:
    if framework == "keras":
        return np.asarray(model(x, training=False), dtype=np.float64)
    import torch

    model.eval()
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x)).numpy(), dtype=np.float64)


def _shown(mean: float, spread: float) -> str:
    return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
