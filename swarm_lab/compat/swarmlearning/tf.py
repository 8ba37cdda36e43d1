"""`from swarmlearning.tf import SwarmCallback`: the callback of Keras under its documented names."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import keras

from swarm_lab.callback.documented import DEFAULT_CONTRACT, documented
from swarm_lab.callback.keras import KerasCallback
from swarm_lab.callback.logs import default_logger, failures_logged


class SwarmCallback(KerasCallback):
    """A Keras callback; its arguments are those of `swarm_lab.SwarmCallback` in camelCase."""

    def __init__(
        self, syncFrequency: Any, minPeers: Any, trainingContract: Any = DEFAULT_CONTRACT, **kwargs: Any
    ) -> None:
        with failures_logged(kwargs):
            super().__init__(**documented(syncFrequency, minPeers, trainingContract, kwargs))
        self._session.warn_about_epochs()


def _folders_are_saved() -> None:
    """Let `model.save(folder)` write a SavedModel, as it did in the Keras that such programs were written for.

    Keras 3 refuses a name without an ending, after the whole training; every other name goes its own way.
    """
    save = keras.Model.save

    @functools.wraps(save)
    def save_or_export(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(filepath, str | os.PathLike) or Path(filepath).suffix:
            return save(self, filepath, *args, **kwargs)
        default_logger().info("%s has no ending that Keras 3 knows: exported as a SavedModel", filepath)
        return self.export(filepath)

    keras.Model.save = save_or_export


_folders_are_saved()
