"""`from swarmlearning.sklearn import SwarmCallback`: the callback of scikit-learn under its documented names."""

from __future__ import annotations

from typing import Any

from swarm_lab.callback.documented import DEFAULT_CONTRACT, UNUSED, documented, without_judging
from swarm_lab.callback.logs import failures_logged
from swarm_lab.callback.sklearn import SklearnCallback


class SwarmCallback(SklearnCallback):
    """A plain class whose methods the loop calls; its arguments are those of `swarm_lab.SwarmCallback` in camelCase."""

    def __init__(
        self, syncFrequency: Any, minPeers: Any, trainingContract: Any = DEFAULT_CONTRACT, **kwargs: Any
    ) -> None:
        with failures_logged(kwargs):
            given = documented(syncFrequency, minPeers, trainingContract, kwargs, (*UNUSED, "weight_attrs_is_list"))
            super().__init__(**(given if hasattr(kwargs.get("model"), "n_clusters") else without_judging(given)))
        self._session.warn_about_epochs()
