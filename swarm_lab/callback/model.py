"""What a framework's side is to the session: its model as tensors, and the state that stays with the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from swarm_lab.callback.errors import ModelChangedError
from swarm_lab.callback.messages import Platform, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

Score = tuple[float | None, float | None]


class Model(Protocol):
    """A framework's side: the model of the program as tensors in a fixed order.

    `store` and `load` get one writable byte view a tensor, in the order of `layout()`; both raise ModelChangedError
    when the model is no longer the one of `layout()`. `evaluate` gives loss and metric on the validation data, None
    where there is none.
    """

    platform: Platform

    def layout(self) -> tuple[TensorSpec, ...]:
        """The tensors; raises ModelError on one that cannot travel."""

    def store(self, views: Sequence[memoryview]) -> None:
        """Write the tensors into the views."""

    def load(self, views: Sequence[memoryview]) -> None:
        """Read the tensors from the views, in place."""

    def evaluate(self) -> Score:
        """Loss and metric of the model as it is now."""


@runtime_checkable
class Keeper(Protocol):
    """What a framework's side may have beside `Model`: state that stays local and comes back after a restart."""

    def state(self) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]] | None:
        """Optimizer (and scheduler) state: copies of its arrays by name, and facts that are plain JSON."""

    def restore(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Put a state back; raises ModelError when it does not fit."""


def check_unchanged(layout: Sequence[TensorSpec], present: Mapping[str, TensorSpec], whose: str = "model") -> None:
    """Raise ModelChangedError naming the first tensor that is gone, of another dtype or shape, or new."""
    for spec in layout:
        now = present.get(spec.name)
        if now is None:
            raise ModelChangedError(f"{spec.name} is no longer in the {whose}")
        if now != spec:
            raise ModelChangedError(
                f"{spec.name} was {spec.dtype} {list(spec.shape)} and is now {now.dtype} {list(now.shape)}"
            )
    known = {spec.name for spec in layout}
    new = next((name for name in present if name not in known), None)
    if new is not None:
        raise ModelChangedError(f"{new} is new in the {whose}")
