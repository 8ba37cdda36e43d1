"""What the callbacks of a training loop of one's own have in common: the calls, `epochs` and `batches`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from swarm_lab.callback.session import Phase

Item = TypeVar("Item")


class LoopCallback:
    """The calls of a loop, passed on to the session that a subclass makes as `_session`."""

    _session: Any  # a Session, or what stands for it on a rank of PyTorch

    @property
    def stop_training(self) -> bool:
        """Whether the loop should end: what it still does has no part in the final model."""
        return bool(self._session.stop_training)

    @property
    def resumed_epoch(self) -> int:
        """The epoch for a loop of one's own to begin at, after `on_train_begin()`; `epochs` does it itself."""
        epoch: int = self._session.resumed_epoch
        return epoch

    def on_train_begin(self) -> None:
        """Call before the loop: the model now holds what the swarm starts from."""
        self._session.begin()

    def on_batch_end(self, batch: int | None = None, loss: float | None = None) -> None:
        """Call after each step. `batch` is not used; `loss` is shown live and goes nowhere else."""
        self._session.batch(1, loss)

    def on_epoch_end(self, epoch: int | None = None) -> None:
        """Call after each epoch. `epoch` is not used."""
        self._session.epoch()

    def on_train_end(self) -> None:
        """Call after the loop: waits for the swarm's end; the model then holds its final one."""
        self._session.end()

    def get_loss(self, merged: Mapping[str, Any]) -> tuple[float | None, float | None, int, int]:
        """See `Session.get_loss`: load these tensors, and judge: loss, metric, epochs done, epochs in all."""
        found: tuple[float | None, float | None, int, int] = self._session.get_loss(merged)
        return found

    getLoss = get_loss

    def epochs(self, count: int) -> Iterator[int]:
        """`for epoch in callback.epochs(count)`: begins where that was not done, counts epochs, ends with the swarm.

        A program that was started again goes on with the epoch that it had begun, where its state came back as well;
        else it begins at 0. A loop inside is left at once when it goes over `callback.batches(loader)`; a plain
        `for batch in loader` goes on to the end of its epoch, or tests `callback.stop_training`.
        """
        if self._session.phase is Phase.NEW:
            if self._session.total_epochs is None:
                self._session.total_epochs = count
            self.on_train_begin()
        for epoch in range(self.resumed_epoch, count):
            if self.stop_training:
                return
            before = self._session.epochs
            yield epoch
            if self._session.epochs == before:
                self.on_epoch_end(epoch)

    def batches(self, source: Iterable[Item]) -> Iterator[Item]:
        """`for x, y in callback.batches(loader)`: the loader's batches, leaving at once when the swarm is over."""
        if self.stop_training:
            return
        for item in source:
            yield item
            if self.stop_training:
                return
