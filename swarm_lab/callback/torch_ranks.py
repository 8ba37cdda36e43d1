"""A program of several processes (`torch.distributed`): rank 0 speaks with the swarm, the others do what it tells.

Rank 0 tells all ranks in one small broadcast what came of a call and at which batch it will tell again: at the next
sync that is due, or after `TELL_EVERY` seconds, when a sync that the node asked for may come. A model that it was given
goes to them in the same call. So all ranks load, stop and begin at one batch, and most batches cost nothing. It goes
over a gloo group of its own, beside the program's collectives.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from swarm_lab.callback.errors import CallOrderError, ModelError, RanksError, SwarmError, WrongCallerError
from swarm_lab.callback.messages import TensorSpec
from swarm_lab.callback.session import Phase, Session

if TYPE_CHECKING:
    from swarm_lab.callback.torch import TorchModel

# A wait ends with rank 0's word or with rank 0, whose connection closes; peers of the swarm may take hours to answer.
LIMIT = timedelta(days=7)
TELL_EVERY = 0.02
MAX_STRIDE = 4096
PART = 1 << 28
ALIGNMENT = 16
WORD = 7
PHASES = tuple(Phase)
HOST = torch.device("cpu")  # said everywhere: the program may have made another one its default


class Call(IntEnum):
    """What rank 0 tells about."""

    on_train_begin = 1
    on_batch_end = 2
    on_train_end = 3
    epochs = 4
    failed = 5


class Ranks:
    """The ranks of one program; making it is a collective call."""

    def __init__(self, logger: logging.Logger) -> None:
        self._log = logger
        self.rank = dist.get_rank()
        self._group: Any = dist.new_group(backend="gloo", timeout=LIMIT)
        self._word = torch.zeros(WORD, dtype=torch.int64, device=HOST)

    def word(self, *numbers: int) -> list[int]:
        """Rank 0's numbers on every rank; rank 0 gives them."""
        if self.rank == 0:
            self._word[: len(numbers)] = torch.tensor(numbers, dtype=torch.int64, device=HOST)
        self._broadcast(self._word)
        return self._word.tolist()

    def data(self, buffer: torch.Tensor) -> None:
        """Rank 0's bytes into the buffer (uint8) of every rank; its size is the same on all."""
        for start in range(0, len(buffer), PART):
            self._broadcast(buffer[start : start + PART])

    def _broadcast(self, tensor: torch.Tensor) -> None:
        try:
            dist.broadcast(tensor, 0, group=self._group)
        except RuntimeError as error:
            other = "a rank of this program" if self.rank == 0 else "rank 0 of this program"
            raise self.failure(
                RanksError(f"{other} has ended, or makes other calls than this one ({error})")
            ) from error

    def failure(self, error: SwarmError) -> SwarmError:
        """The error to raise, which is in the program's log now."""
        error.log(self._log)
        return error


class Leader:
    """Rank 0: a session that tells the other ranks what came of each call."""

    def __init__(self, session: Session, model: TorchModel, ranks: Ranks) -> None:
        self._session = session
        self._model = model
        self._ranks = ranks
        self._told = 0
        self._at = 0.0
        self._tells = self._last = 0  # the batch at which it tells again, and that of the last time

    def begin(self) -> None:
        """See `Session.begin`; the other ranks get the model, and the optimizer's state when one came back."""
        self._run(Call.on_train_begin, self._session.begin, stride=1, always=True)
        if self._model.restored:
            self._share_state()

    def batch(self, steps: int = 1, loss: float | None = None) -> None:
        """See `Session.batch`; what the node asks for waits until the ranks are told next."""
        session = self._session
        session.heeds_node = tells = session.batches + steps >= self._tells
        if session.phase is Phase.TRAINING:
            stride = self._stride() if tells else 0
            self._run(Call.on_batch_end, lambda: session.batch(steps, loss), stride=stride)
        else:
            session.batch(steps, loss)

    def end(self) -> None:
        """See `Session.end`."""
        self._run(Call.on_train_end, self._session.end, stride=1, always=True)

    @property
    def resumed_epoch(self) -> int:
        """See `Session.resumed_epoch`. Collective."""
        epoch = self._session.resumed_epoch
        self._ranks.word(Call.epochs, self._session.batches, epoch)
        return epoch

    def __getattr__(self, name: str) -> Any:
        # Everything else is the session's own and concerns nobody but rank 0.
        return getattr(self._session, name)

    def _run(self, call: Call, act: Callable[[], None], *, stride: int, always: bool = False) -> None:
        try:
            act()
        except (CallOrderError, WrongCallerError):
            raise  # the same line of the program raises it on every rank
        except Exception:  # whatever it is, the other ranks wait for this one's word; it is raised again
            self._ranks.word(Call.failed)
            raise
        if not stride:
            return
        loaded = always or self._model.loads != self._told
        self._told = self._model.loads
        session = self._session
        self._last, self._tells = session.batches, session.batches + max(1, min(stride, session.left))
        phase = PHASES.index(session.phase)
        at_begin = _mark(self._model.specs) if call is Call.on_train_begin else 0
        self._ranks.word(call, session.batches, loaded, phase, self._model.restored, at_begin, self._tells)
        if loaded:
            buffer, views = _room(self._model.specs)
            self._model.store(views)
            self._ranks.data(buffer)
        self._at = time.monotonic()

    def _stride(self) -> int:
        """How many batches take `TELL_EVERY`, at the pace since the ranks were told last."""
        pace = (time.monotonic() - self._at) / max(1, self._session.batches - self._last)
        return max(1, min(MAX_STRIDE, int(TELL_EVERY / max(pace, 1e-9))))

    def _share_state(self) -> None:
        found = self._model.state()
        arrays, facts = found if found is not None else ({}, {})
        table = [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]
        text = json.dumps([table, facts]).encode()
        parts = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays.values()]
        data = np.concatenate([np.frombuffer(text, np.uint8), *parts])
        self._ranks.word(len(text), data.size)
        self._ranks.data(torch.from_numpy(data))


class Follower:
    """Every other rank: it makes the same calls, has no link, and takes over what rank 0 tells."""

    loopback = False

    def __init__(self, model: TorchModel, ranks: Ranks) -> None:
        self._model = model
        self._ranks = ranks
        self.stop_training = False
        self.phase = Phase.NEW
        self.batches = 0
        self.epochs = 0
        self.total_epochs: int | None = None
        self._tells = 0

    def begin(self) -> None:
        """Wait for rank 0's begin and take its model over; raises ModelError when it has another layout."""
        if self.phase is not Phase.NEW:
            raise CallOrderError("on_train_begin() was called a second time")
        if self._take(Call.on_train_begin):
            self._take_state()

    @property
    def resumed_epoch(self) -> int:
        """Rank 0's. Collective."""
        self.epochs = self._hear(Call.epochs)[2]
        return self.epochs

    def batch(self, steps: int = 1, loss: float | None = None) -> None:
        """Count, and load what rank 0 was given at this batch."""
        self._check("on_batch_end()")
        if self.phase is Phase.TRAINING:
            self.batches += steps
            if self.batches >= self._tells:
                self._take(Call.on_batch_end)

    def epoch(self) -> None:
        """Count an epoch."""
        self._check("on_epoch_end()")
        self.epochs += 1

    def end(self) -> None:
        """Wait until rank 0 has the final model and take it over."""
        self._check("on_train_end()")
        self._take(Call.on_train_end)

    def __getattr__(self, name: str) -> Any:
        raise WrongCallerError(f"{name} belongs to rank 0; this is rank {self._ranks.rank}")

    def _check(self, call: str) -> None:
        if self.phase in (Phase.NEW, Phase.ENDED):
            when = "before on_train_begin()" if self.phase is Phase.NEW else "after on_train_end()"
            raise CallOrderError(f"{call} was called {when}")

    def _hear(self, call: Call) -> list[int]:
        """Rank 0's word on this call; raises RanksError when it is on another one, or when rank 0 failed."""
        word = self._ranks.word()
        told, batches = Call(word[0]), word[1]
        if told is Call.failed:
            raise self._ranks.failure(RanksError(f"rank 0 failed in {call.name}(); its own message says why"))
        if told is not call or batches != self.batches:
            mine, theirs = f"{call.name}() after {self.batches} batches", f"{told.name}() after {batches}"
            raise self._ranks.failure(RanksError(f"rank {self._ranks.rank} called {mine} while rank 0 called {theirs}"))
        return word

    def _take(self, call: Call) -> bool:
        """Take over what the call brought; returns whether a state came back as well."""
        layout = self._model.layout() if call is Call.on_train_begin else self._model.specs
        _, _, loaded, phase, restored, at_begin, self._tells = self._hear(call)
        if at_begin and at_begin != _mark(layout):
            text = f"the model of rank {self._ranks.rank} has other tensors than that of rank 0"
            raise self._ranks.failure(ModelError(text))
        if loaded:
            buffer, views = _room(layout)
            self._ranks.data(buffer)
            self._model.load(views)
        self.phase = PHASES[phase]
        self.stop_training = self.stop_training or self.phase in (Phase.OVER, Phase.ENDED)
        return bool(restored)

    def _take_state(self) -> None:
        text, size, *_ = self._ranks.word()
        buffer = torch.empty(size, dtype=torch.uint8, device=HOST)
        self._ranks.data(buffer)
        data = buffer.numpy()
        table, facts = json.loads(data[:text].tobytes())
        arrays, at = {}, text
        for name, kind, shape in table:
            dtype = np.dtype(kind)
            stop = at + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            arrays[name] = data[at:stop].copy().view(dtype).reshape(shape)
            at = stop
        if facts:
            self._model.restore(arrays, facts)


Member = Session | Leader | Follower


def member_of(session: Session, model: TorchModel, logger: logging.Logger) -> Member:
    """What stands for the session in this process: itself, unless the program has several ranks. Collective."""
    if session.loopback or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return session
    ranks = Ranks(logger)
    return Leader(session, model, ranks) if ranks.rank == 0 else Follower(model, ranks)


def _room(layout: tuple[TensorSpec, ...]) -> tuple[torch.Tensor, list[memoryview]]:
    """One buffer for all tensors, and a view for each."""
    places, at = [], 0
    for spec in layout:
        places.append(at)
        at += -(-spec.nbytes // ALIGNMENT) * ALIGNMENT
    buffer = torch.zeros(max(at, 1), dtype=torch.uint8, device=HOST)
    whole = buffer.numpy().data
    return buffer, [whole[place : place + spec.nbytes] for place, spec in zip(places, layout, strict=True)]


def _mark(layout: tuple[TensorSpec, ...]) -> int:
    """A positive number of 62 bits that stands for names, dtypes and shapes."""
    digest = hashlib.blake2b(repr(layout).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2 | 1
