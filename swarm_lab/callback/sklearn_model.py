"""A scikit-learn estimator as tensors: its fitted attributes in and out, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from swarm_lab.callback.errors import ModelChangedError, ModelError
from swarm_lab.callback.messages import Platform, TensorSpec
from swarm_lab.callback.model import check_unchanged
from swarm_lab.callback.session import Score
from swarm_lab.callback.sklearn_evaluation import Evaluation
from swarm_lab.callback.sklearn_state import Array, State

DTYPES: dict[str, str] = {
    "float64": "F64", "float32": "F32", "float16": "F16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


class SklearnModel:
    """The fitted attributes of an estimator as tensors, in their own dtypes, and its marks as empty ones.

    The state of an MLP's optimizer stays local; `state` and `restore` let it come back after a restart.
    """

    platform: Platform = "sklearn"

    def __init__(self, estimator: Any, state: State, evaluation: Evaluation | None) -> None:
        self._estimator = estimator
        self._state = state
        self._evaluation = evaluation
        self._layout: tuple[TensorSpec, ...] = ()

    def layout(self) -> tuple[TensorSpec, ...]:
        """Arrays, then marks; raises ModelError when the estimator has learned nothing yet."""
        if not self._state.fitted():
            raise ModelError(
                f"{type(self._estimator).__name__} has no fitted attributes yet",
                next_step="give init_data=(x, y), or call partial_fit once before on_train_begin()",
            )
        self._layout = self._specs()
        return self._layout

    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the arrays into the views, bit by bit; raises ModelError when a value is no number."""
        self._check()
        arrays = self._state.arrays()
        _all_finite(arrays, "has learned")
        for array, view in zip(arrays.values(), views, strict=False):  # the marks behind them are empty
            if view.nbytes:
                np.frombuffer(view, np.uint8)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def load(self, views: Sequence[memoryview]) -> None:
        """Give the estimator copies of the views; it is left as it was when it raises."""
        self._check()
        merged: dict[str, Array] = {}
        for (name, array), view in zip(self._state.arrays().items(), views, strict=False):
            merged[name] = np.frombuffer(bytes(view), array.dtype).reshape(array.shape)
        _all_finite(merged, "was merged from")
        self._state.put(merged)

    def evaluate(self) -> Score:
        """Loss and metric on the validation data."""
        return (None, None) if self._evaluation is None else self._evaluation.run(self._estimator)

    def state(self) -> tuple[Mapping[str, Array], dict[str, Any]] | None:
        """Moments and steps of an MLP's optimizer; of an estimator without one, that it has none."""
        optimizer = self._optimizer
        if optimizer is None:
            return {}, {"optimizer": "none", "numbers": {}}
        lists = {name: value for name, value in vars(optimizer).items() if isinstance(value, list)}
        arrays = {f"{name}.{i}": array.copy() for name, parts in lists.items() for i, array in enumerate(parts)}
        numbers = {name: float(value) for name, value in vars(optimizer).items() if isinstance(value, float)}
        steps = {name: value for name, value in vars(optimizer).items() if type(value) is int}
        return arrays, {"optimizer": type(optimizer).__name__, "numbers": numbers | steps}

    def restore(self, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        """Put the optimizer's state back; raises ModelError when it is of another one."""
        present = self.state()
        if present is None or facts.get("optimizer") != present[1]["optimizer"]:
            raise ModelError(f"the state that was kept is of the optimizer {facts.get('optimizer')}")
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != {name: array.shape for name, array in present[0].items()}:
            raise ModelError("the optimizer's state that was kept has other shapes")
        for name in {key.partition(".")[0] for key in arrays}:
            held = getattr(self._optimizer, name)
            setattr(self._optimizer, name, [np.array(arrays[f"{name}.{i}"]) for i in range(len(held))])
        for name, value in facts["numbers"].items():
            setattr(self._optimizer, name, value)

    @property
    def _optimizer(self) -> Any:
        return getattr(self._estimator, "_optimizer", None)

    def _specs(self) -> tuple[TensorSpec, ...]:
        specs = []
        for name, array in self._state.arrays().items():
            if array.dtype.name not in DTYPES:
                raise ModelError(f"{name} has the dtype {array.dtype}, which cannot be merged")
            specs.append(TensorSpec(name, DTYPES[array.dtype.name], array.shape))
        return (*specs, *(TensorSpec(mark, "U8", (0,)) for mark in self._state.marks()))

    def _check(self) -> None:
        if not self._state.fitted():
            raise ModelChangedError("fitted attributes are no longer in the estimator")
        check_unchanged(self._layout, {spec.name: spec for spec in self._specs()}, "estimator")


def _all_finite(arrays: Mapping[str, Array], words: str) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(
                f"{name} {words} values that are no finite numbers",
                next_step="scale the features (StandardScaler), or take a smaller learning rate",
            )
