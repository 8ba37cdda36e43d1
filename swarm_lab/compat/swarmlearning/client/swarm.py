"""`SwarmError`, and the base class for callbacks of other frameworks, with the hooks that such classes have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn

from swarm_lab.callback.arguments import is_known, read_arguments
from swarm_lab.callback.documented import UNUSED, documented
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
    once its model is known, opens the session. Names that no platform has are the subclass's own.
    """

    def __init__(self, syncFrequency: Any, minPeers: Any, trainingContract: Any, params: Mapping[str, Any]) -> None:
        ours = {name: value for name, value in params.items() if is_known(name) or name in UNUSED}
        with failures_logged(ours):
            self._values = read_arguments(documented(syncFrequency, minPeers, trainingContract, ours), "arrays")
            self.logger = self._values.get("logger") or default_logger()
            self._session: Session | None = None
            self.syncFrequency: int = self._values["sync_frequency"]
            self.minPeers: int = self._values["min_peers"]
            self.trainingContract: str = self._values["training_contract"]
            self.totalEpochs: int = self._values.get("total_epochs", 0)
            self.nodeWeightage: int = self._values.get("node_weightage", 1)
            self.useAdaptiveSync: bool = self._values.get("use_adaptive_sync", False)
            self.valData, self.valBatchSize = self._values.get("val_data"), self._values.get("val_batch_size")
            if self.valData is not None:
                self._take(self._getValidationDataForAdaptiveSync(self.valData, self.valBatchSize))

    @property
    def isSwarmTrainingOver(self) -> bool:
        """Whether the swarm is over or was stopped; a loop that looks at it ends with the swarm."""
        return self._session is not None and self._session.stop_training

    @property
    def epochsCompleted(self) -> int:
        """Epochs done."""
        return 0 if self._session is None else self._session.epochs

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

    def _take(self, found: Any) -> None:
        """Keep the five parts that the hook for validation data may return."""
        parts: tuple[Any, ...] = found if isinstance(found, tuple) and len(found) == 5 else (None,) * 5
        self.valGen, self.validationSteps, self.valX, self.valY, self.valSampleWeight = parts

    def _score(self) -> Score:
        if self._values.get("val_data") is None:
            return None, None
        loss, metric = self._calculateLocalLossAndMetrics()
        return loss, metric

    def _opened(self) -> Session:
        if self._session is None:
            self._swarmInitialize()
        assert self._session is not None
        return self._session
