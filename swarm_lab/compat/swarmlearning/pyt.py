"""`from swarmlearning.pyt import SwarmCallback`: the callback of PyTorch under its documented names."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader

from swarm_lab.callback.documented import DEFAULT_CONTRACT, documented, without_judging
from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.logs import failures_logged
from swarm_lab.callback.session import Session
from swarm_lab.callback.torch import TorchCallback


class SwarmCallback(TorchCallback):
    """A plain class whose methods the loop calls; its arguments are those of `swarm_lab.SwarmCallback` in camelCase."""

    def __init__(
        self, syncFrequency: Any, minPeers: Any, trainingContract: Any = DEFAULT_CONTRACT, **kwargs: Any
    ) -> None:
        with failures_logged(kwargs):
            data = kwargs.get("adsValData")
            if data is not None and not isinstance(data, DataLoader):
                raise CallbackArgumentError(
                    f"adsValData must be a torch.utils.data.DataLoader, not {type(data).__name__}"
                )
            super().__init__(**without_judging(documented(syncFrequency, minPeers, trainingContract, kwargs)))
        if isinstance(self._session, Session):
            self._session.warn_about_epochs()
