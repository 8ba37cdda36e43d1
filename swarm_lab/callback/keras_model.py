"""The weights and the optimizer of a Keras model as arrays: what travels, and what stays and comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from swarm_lab.callback.errors import ModelError
from swarm_lab.callback.keras_evaluation import Evaluation
from swarm_lab.callback.keras_names import weight_names
from swarm_lab.callback.messages import Platform, TensorSpec
from swarm_lab.callback.model import check_unchanged
from swarm_lab.callback.session import Score

DTYPES: dict[str, str] = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


class KerasModel:
    """The weights of a Keras model as tensors, and its optimizer as a state that stays local.

    `model.weights` leaves out what is local by its nature: states of random generators, metrics, the optimizer. With
    `parameters="trainable"` the weights that do not train (frozen layers, moving statistics) are left out as well.
    `optimizer` is that of a loop which does not use the compiled one. `epoch` is the index of the epoch that fit is
    in, None outside; `resumed_epoch` the one that a restart goes on at.
    """

    platform: Platform = "keras"

    def __init__(self, evaluation: Evaluation | None = None, parameters: str = "all", optimizer: Any = None) -> None:
        self._evaluation = evaluation
        self._trainable = parameters == "trainable"
        self._given_optimizer = optimizer
        self._model: Any = None
        self._layout: tuple[TensorSpec, ...] = ()
        self._checked: list[Any] = []
        self._loaded: Sequence[memoryview] | None = None
        self.epoch: int | None = None
        self.resumed_epoch = 0

    @property
    def model(self) -> Any:
        """The model that is trained, None before `use`."""
        return self._model

    @property
    def built(self) -> bool:
        """Whether the model has its weights."""
        return self._model is not None and bool(self._model.built)

    def use(self, model: Any) -> None:
        """Take the model that is trained; one that has no weights yet is built where the validation data allows it."""
        self._model = model
        if not self.built and self._evaluation is not None:
            self._evaluation.build(model)

    def layout(self) -> tuple[TensorSpec, ...]:
        """The weights in the model's order; raises ModelError when there are none yet."""
        if not self.built:
            raise ModelError("the model is not built yet: give it an Input or call it once before the training")
        variables = self._variables()
        self._layout = self._specs(variables)
        if not self._layout:
            raise ModelError("the model has no trainable weights" if self._trainable else "the model has no weights")
        self._checked = variables
        return self._layout

    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the weights into the views, bit by bit."""
        for variable, view in zip(self._present(), views, strict=True):
            if view.nbytes:
                np.frombuffer(view, np.uint8)[:] = _bytes(variable)

    def load(self, views: Sequence[memoryview]) -> None:
        """Assign the views to the weights."""
        for variable, spec, view in zip(self._present(), self._layout, views, strict=True):
            if view.nbytes:
                # A copy: TensorFlow may keep the array's memory, and the segment is written again at the next round.
                variable.assign(np.frombuffer(bytes(view), _dtype(variable)).reshape(spec.shape))
        self._loaded = views

    def load_again(self) -> bool:
        """Put the model that was loaded last back; True when the present one was another, False when nothing was done.

        Only after the last sync: until then the views change with each round.
        """
        if self._loaded is None:
            return False
        pairs = zip(self._present(), self._loaded, strict=True)
        if all(view.nbytes == 0 or np.array_equal(_bytes(one), np.frombuffer(view, np.uint8)) for one, view in pairs):
            return False
        self.load(self._loaded)
        return True

    def evaluate(self) -> Score:
        """Loss and metric on the validation data."""
        return (None, None) if self._evaluation is None else self._evaluation.run(self._model)

    def state(self) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]] | None:
        """Copies of the optimizer's variables (iterations, learning rate, slots), and the epoch that fit is in."""
        optimizer = self._optimizer()
        if optimizer is None or not optimizer.built:
            return None if self.epoch is None else ({}, {"epoch": self.epoch})
        arrays = {str(number): _copy(variable) for number, variable in enumerate(_variables_of(optimizer))}
        return arrays, {"optimizer": type(optimizer).__name__, "epoch": self.epoch}

    def restore(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Put the optimizer's variables back; raises ModelError, before any is touched, when they do not fit."""
        if arrays:
            self._restore_optimizer(arrays, str(facts.get("optimizer")))
        if (epoch := facts.get("epoch")) is not None:
            self.resumed_epoch = int(epoch)

    def _restore_optimizer(self, arrays: Mapping[str, NDArray[Any]], kind: str) -> None:
        optimizer = self._optimizer()
        if type(optimizer).__name__ != kind:
            raise ModelError(f"the state is of the optimizer {kind}, the model has {type(optimizer).__name__}")
        assert optimizer is not None
        if not optimizer.built:
            optimizer.build(self._model.trainable_variables)
        variables = {str(number): variable for number, variable in enumerate(_variables_of(optimizer))}
        if variables.keys() != arrays.keys():
            raise ModelError(f"the state has {len(arrays)} variables of {kind}, the optimizer has {len(variables)}")
        for number, variable in variables.items():
            found = arrays[number]
            if found.dtype != _dtype(variable) or found.shape != tuple(variable.shape):
                raise ModelError(
                    f"{variable.path} is {variable.dtype} {list(variable.shape)}, "
                    f"its state {found.dtype} {list(found.shape)}"
                )
        for number, variable in variables.items():
            variable.assign(arrays[number].copy())

    def _optimizer(self) -> Any:
        """The one given for a loop of the user's own, or the compiled one; None when there is none."""
        return self._given_optimizer or getattr(self._model, "optimizer", None)

    def _variables(self) -> list[Any]:
        return list(self._model.trainable_variables if self._trainable else self._model.weights)

    def _specs(self, variables: Sequence[Any]) -> tuple[TensorSpec, ...]:
        specs = []
        for name, variable in zip(weight_names(self._model, variables), variables, strict=True):
            if variable.dtype not in DTYPES:
                raise ModelError(f"{name} has the dtype {variable.dtype}, which cannot be merged")
            specs.append(TensorSpec(name, DTYPES[variable.dtype], tuple(int(n) for n in variable.shape)))
        return tuple(specs)

    def _present(self) -> list[Any]:
        """The variables as they are now; raises ModelChangedError when they are not those of the layout."""
        variables = self._variables()
        if len(variables) == len(self._checked) and all(map(_same, variables, self._checked)):
            return variables  # shape and dtype of a variable never change
        specs = self._specs(variables)
        found = {spec.name: variable for spec, variable in zip(specs, variables, strict=True)}
        check_unchanged(self._layout, {spec.name: spec for spec in specs})
        self._checked = [found[spec.name] for spec in self._layout]
        return self._checked


def _variables_of(optimizer: Any) -> list[Any]:
    """What the optimizer counts as its variables, and what it holds beside them, as Nadam its product of momenta."""
    found = {id(variable): variable for variable in optimizer.variables}
    for one in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        own = vars(one).items() if one is not None else ()
        found |= {id(value): value for _, value in sorted(own) if isinstance(value, keras.Variable)}
    return list(found.values())


def _same(one: Any, other: Any) -> bool:
    return one is other


def _dtype(variable: Any) -> np.dtype[Any]:
    name = str(variable.dtype)
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def _numbers(variable: Any) -> Any:
    return variable.numpy()  # of whatever device or replicas, where ops.convert_to_numpy knows tensors only


def _copy(variable: Any) -> NDArray[Any]:
    found: NDArray[Any] = _numbers(variable)
    return found if found.flags.owndata else found.copy()  # on TensorFlow it is a copy already, on PyTorch a view


def _bytes(variable: Any) -> NDArray[np.uint8]:
    return np.ascontiguousarray(_numbers(variable)).reshape(-1).view(np.uint8)
