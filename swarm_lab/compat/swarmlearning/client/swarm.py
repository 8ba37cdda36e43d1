"""`SwarmError`, and the base class for callbacks of other frameworks, with the hooks that such classes have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.documented import documented
from swarm_lab.callback.errors import CallbackArgumentError, SwarmError
from swarm_lab.callback.hooks import ArraysModel, own_platform
from swarm_lab.callback.logs import default_logger, failures_logged
from swarm_lab.callback.session import Score, Session

__all__ = ["SLPlatforms", "SwarmCallbackBase", "SwarmError"]


class SLPlatforms(IntEnum):
    """Frameworks by their documented numbers; a class of one that is not among them needs none."""

    TF = 1
    KERAS = 2
    PYTORCH = 3
    HF_TRANSFORMER = 4


class SwarmCallbackBase(ABC):
    """What a callback for another framework inherits from: it writes the five hooks, and calls `_swarm...` methods.

    `params` holds the named arguments. The constructor checks all of them; `_swarmInitialize`, which a subclass calls
    once its model is known, opens the session.
    """

    def __init__(self, syncFrequency: Any, minPeers: Any, trainingContract: Any, params: Mapping[str, Any]) -> None:
        with failures_logged(params):
            self._values = read_arguments(documented(syncFrequency, minPeers, trainingContract, params), "arrays")
            self.logger = self._values.get("logger") or default_logger()
            self._session: Session | None = None
            if (data := self._values.get("val_data")) is not None:
                self._getValidationDataForAdaptiveSync(data, self._values.get("val_batch_size"))

    @abstractmethod
    def _verifyAndSetPlatformContext(self, params: Mapping[str, Any]) -> None:
        """Check and keep what the framework needs, the model before all."""

    @abstractmethod
    def _getValidationDataForAdaptiveSync(self, valData: Any, valBatchSize: Any) -> Any:
        """Check and keep the validation data."""

    @abstractmethod
    def _saveModelWeightsToDict(self) -> dict[str, Any]:
        """The model as arrays by name."""

    @abstractmethod
    def _loadModelWeightsFromDict(self, inDict: dict[str, Any]) -> None:
        """Put such arrays into the model."""

    @abstractmethod
    def _calculateLocalLossAndMetrics(self) -> Any:
        """Loss and metric of the model on the validation data."""

    def getLoss(self, mergedParams: Mapping[str, Any]) -> tuple[float | None, float | None, int, int]:
        """Load these arrays, and judge: loss, metric, epochs done, epochs in all."""
        return self._opened().get_loss(mergedParams)

    def _swarmInitialize(self) -> None:
        model = ArraysModel(own_platform(), self._saveModelWeightsToDict, self._loadModelWeightsFromDict, self._score)
        self._session = Session(model, self._values, self.logger)
        self._session.warn_about_epochs()

    def _swarmOnTrainBegin(self) -> None:
        self._opened().begin()

    def _swarmOnBatchEnd(self) -> None:
        self._opened().batch()

    def _swarmOnEpochEnd(self) -> None:
        self._opened().epoch()

    def _swarmOnTrainEnd(self) -> None:
        self._opened().end()

    def _logAndRaiseError(self, message: str) -> NoReturn:
        error = CallbackArgumentError(message)
        error.log(self.logger)
        raise error

    def _score(self) -> Score:
        if self._values.get("val_data") is None:
            return None, None
        loss, metric = self._calculateLocalLossAndMetrics()
        return (None if loss is None else float(loss)), (None if metric is None else float(metric))

    def _opened(self) -> Session:
        if self._session is None:
            self._swarmInitialize()
        assert self._session is not None
        return self._session
