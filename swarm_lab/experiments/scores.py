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

MEASURES = ("accuracy", "f1", "auc")
TOLERANCE = 0.02
"""The swarm may be this much below the best single node (accuracy, 0 to 1) before the demo fails."""


@dataclass(frozen=True, slots=True)
class Score:
    """One model on the test rows. All between 0 and 1: F1 is the mean over classes, AUC one class against the rest."""

    accuracy: float
    f1: float
    auc: float


class Scores:
    """Scores by data set, way of training (a node's name, `swarm`, `central`) and seed."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Scores:
        """The scores of `frame().to_dict("records")`."""
        made = cls()
        made._rows = [dict(row) for row in rows]
        return made

    def add(self, data: str, way: str, seed: int, score: Score) -> None:
        """Note one score."""
        self._rows.append({"data": data, "way": way, "seed": seed, **asdict(score)})

    def last(self, way: str, measure: str = "accuracy") -> float:
        """The score of `way` that was added last."""
        return float(next(row[measure] for row in reversed(self._rows) if row["way"] == way))

    def frame(self) -> pd.DataFrame:
        """All scores: a row each, columns data, way, seed and the measures."""
        return pd.DataFrame(self._rows, columns=["data", "way", "seed", *MEASURES])

    def means(self) -> pd.DataFrame:
        """Mean over the seeds; index (data, way) in the order of adding."""
        return self.frame().groupby(["data", "way"], sort=False)[list(MEASURES)].mean()

    def spreads(self) -> pd.DataFrame:
        """Standard deviation over the seeds (of the sample, NaN for a single seed); same index as `means`."""
        return self.frame().groupby(["data", "way"], sort=False)[list(MEASURES)].std()

    def table(self) -> pd.DataFrame:
        """`mean ± spread` as text, for people."""
        means, spreads = self.means(), self.spreads().fillna(0.0)
        return pd.DataFrame(
            {
                name: [f"{m:.3f} ± {s:.3f}" for m, s in zip(means[name], spreads[name], strict=True)]
                for name in MEASURES
            },
            index=means.index,
        )

    def shortfalls(self) -> dict[str, str]:
        """Data sets on which the swarm is more than `TOLERANCE` below the best single node, with a sentence each."""
        found = {}
        accuracy = self.means()["accuracy"]
        for data in dict.fromkeys(accuracy.index.get_level_values("data")):
            ways = accuracy[data]
            single = ways.drop(labels=["swarm", "central"], errors="ignore")
            if ways["swarm"] < single.max() - TOLERANCE:
                best = f"{single.idxmax()} alone has {single.max():.3f}"
                found[str(data)] = f"{data}: the swarm has {ways['swarm']:.3f}, but {best}"
        return found


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


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
