"""`from swarmlearning.tf import SwarmCallback`: the callback of Keras under its documented names."""

from __future__ import annotations

from typing import Any

from swarm_lab.callback.documented import DEFAULT_CONTRACT, documented
from swarm_lab.callback.keras import KerasCallback
from swarm_lab.callback.logs import failures_logged


class SwarmCallback(KerasCallback):
    """A Keras callback; its arguments are those of `swarm_lab.SwarmCallback` in camelCase."""

    def __init__(
        self, syncFrequency: Any, minPeers: Any, trainingContract: Any = DEFAULT_CONTRACT, **kwargs: Any
    ) -> None:
        with failures_logged(kwargs):
            super().__init__(**documented(syncFrequency, minPeers, trainingContract, kwargs))
        self._session.warn_about_epochs()
