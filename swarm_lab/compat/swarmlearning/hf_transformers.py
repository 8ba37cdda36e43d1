"""`from swarmlearning.hf_transformers import SwarmCallback`: for `Trainer`, under its documented names."""

from __future__ import annotations

from typing import Any

from swarm_lab.callback.documented import DEFAULT_CONTRACT, documented
from swarm_lab.callback.huggingface import HuggingFaceCallback
from swarm_lab.callback.logs import failures_logged
from swarm_lab.callback.session import Session


class SwarmCallback(HuggingFaceCallback):
    """A `TrainerCallback`; its arguments are those of `swarm_lab.SwarmCallback` in camelCase.

    Without `hfMode` a model with an adapter exchanges the adapter alone, any other model all of its tensors.
    """

    def __init__(
        self, syncFrequency: Any, minPeers: Any, trainingContract: Any = DEFAULT_CONTRACT, **kwargs: Any
    ) -> None:
        with failures_logged(kwargs):
            super().__init__(**documented(syncFrequency, minPeers, trainingContract, kwargs, ("mlPlatform",)))
        if isinstance(self._session, Session):
            self._session.warn_about_epochs()
