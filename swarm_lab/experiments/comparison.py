"""The comparison of the demo: every node alone, the swarm, and all data in one place, over seeds and data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm_lab.experiments.baselines import Framework, train_alone
from swarm_lab.experiments.data import DATASETS, Split, prepare
from swarm_lab.experiments.scores import Score, Scores, score, with_parameters
from swarm_lab.front.training import Training
from swarm_lab.swarm import Swarm

_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trainings of a comparison have in common. `sync` counts batches, `min_peers` nodes."""

    framework: Framework
    folder: Path
    sync: int = 10
    min_peers: int = 3


def compare(
    swarm: Swarm,
    program: Path,
    setting: Setting,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    datasets: Sequence[str] = DATASETS,
    finished: Mapping[tuple[str, int], Training] | None = None,
    say: Callable[[str], None] = print,
) -> Scores:
    """Train every way on every data set with every seed; returns the scores.

    `program` is the swarm program. `finished` has trainings that were done already, by data set and seed: they are not
    done again. Raises `TrainingFailed` when a training fails.
    """
    scores = Scores()
    known = finished or {}
    for seed in seeds:
        for name in datasets:
            split = prepare(name, setting.folder / f"seed-{seed}", nodes=swarm.seats, seed=seed)
            training = known.get((name, seed)) or _train(swarm, program, split, setting, seed)
            for way, found in _score_all(training, split, setting.framework, seed).items():
                scores.add(name, way, seed, found)
            rounds = training.status.round
            say(f"{name}, seed {seed}: accuracy of the swarm {scores.last('swarm'):.3f} after {rounds} rounds")
    return scores


def _train(swarm: Swarm, program: Path, split: Split, setting: Setting, seed: int) -> Training:
    training = swarm.train(program, data=split.nodes, sync=setting.sync, min_peers=setting.min_peers, seed=seed)
    training.wait(limit=_LIMIT_S)
    return training


def _score_all(training: Training, split: Split, framework: Framework, seed: int) -> dict[str, Score]:
    def judge(model: Any) -> Score:
        return score(framework, model, split.test_x, split.test_y)

    found = {node: judge(train_alone(framework, split.nodes / node, seed)) for node in training.nodes}
    central = train_alone(framework, split.central, seed)
    central_score = judge(central)
    return {**found, "swarm": judge(with_parameters(framework, central, training.model)), "central": central_score}
