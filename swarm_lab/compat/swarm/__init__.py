"""`from swarm import SwarmCallback`: programs of the existing product's first versions, with their argument names."""

from __future__ import annotations

from typing import Any

from swarm_lab.callback import SwarmCallback as _Callback
from swarm_lab.callback.documented import DEFAULT_CONTRACT, documented, without_judging
from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.logs import failures_logged

__all__ = ["SwarmCallback"]


class SwarmCallback(_Callback):
    """The callback of Keras, or with a torch `model` that of PyTorch; `model_name` is accepted and not used."""

    def __new__(cls, sync_interval: Any, min_peers: Any, **kwargs: Any) -> Any:
        """The callback of the framework that the program uses."""
        with failures_logged(kwargs):
            if kwargs.get("node_weightage") == 0:
                raise CallbackArgumentError(
                    "node_weightage must be from 1 to 100: a node of weight 0 would add nothing"
                )
            given = documented(sync_interval, min_peers, DEFAULT_CONTRACT, kwargs, ("model_name",))
        return _Callback(**(without_judging(given) if given.get("model") is not None else given))
