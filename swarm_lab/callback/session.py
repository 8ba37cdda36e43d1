"""What every framework's callback has in common: counting, sync points, the order of calls, the end."""

from __future__ import annotations

import enum
import functools
import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import swarm_lab
from swarm_lab.callback.arguments import sent_arguments
from swarm_lab.callback.arrays import views_of
from swarm_lab.callback.errors import (
    CallOrderError,
    LinkError,
    ModelError,
    NodeGoneError,
    RefusedByNodeError,
    SwarmError,
    WrongCallerError,
)
from swarm_lab.callback.link import Link, Segment, check_node, open_link
from swarm_lab.callback.logs import default_logger, shown
from swarm_lab.callback.messages import (
    PROTOCOL,
    STATE,
    Bye,
    Evaluated,
    FromNode,
    Hello,
    Reason,
    Refused,
    Release,
    Sync,
    TensorSpec,
    Welcome,
)
from swarm_lab.callback.model import Keeper, Model, Score
from swarm_lab.callback.place import Place, Places

__all__ = ["FINAL_LINE", "Keeper", "Model", "Phase", "Score", "Session", "default_logger"]

FINAL_LINE = "All peers and Swarm training rounds finished. Final Swarm model was loaded."
# A batch that ends this long after the last look asks the socket whether the node still lives.
LOOK_EVERY = 1.0
UNKNOWN = math.nan
CADENCE = "SWARM_SYNC_CADENCE"

P = ParamSpec("P")
R = TypeVar("R")


class Phase(enum.Enum):
    """Where a session stands."""

    NEW = "new"
    TRAINING = "training"
    OVER = "over"  # the swarm has finished, on_train_end is still to come
    ENDED = "ended"


def logged(method: Callable[Concatenate[Session, P], R]) -> Callable[Concatenate[Session, P], R]:
    """A method whose failures are in the program's log as well, as errors."""

    @functools.wraps(method)
    def call(self: Session, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except SwarmError as error:
            error.log(self.logger)
            raise

    return call


class Session:
    """One program's training in the swarm; not for use by two threads.

    `stop_training` becomes true when the swarm is over or was stopped. `batches` counts since begin, `epochs` from
    `resumed_epoch` if that was read, `rounds` the merges between begin and end. `total_epochs` may be set before begin.
    Making it raises NoNodeError for a program that no node stands beside.
    """

    def __init__(
        self,
        model: Model,
        arguments: Mapping[str, Any],
        logger: logging.Logger,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._model = model
        self._arguments = dict(arguments)
        self.logger = self._log = logger
        self._environment = os.environ if environment is None else environment
        self.loopback = self._environment.get("SWARM_LOOPBACK", "").lower() == "true"
        self.stop_training = False
        self.heeds_node = True  # whether it syncs at this batch if the node asks for it
        self.batches = 0
        self.epochs = 0
        self.rounds = 0
        self.total_epochs: int | None = self._arguments.get("total_epochs")
        self._warned = False
        self.phase = Phase.NEW
        self.agreed: dict[str, Any] = {}  # by our names: what holds for this training, known from begin on
        self._place: Place | None = None
        self._start_round: int | None = None  # of the model that a program which was started again began with
        self._thread = self._pid = 0
        self._loss = UNKNOWN
        self._score: Score = (None, None)  # of the merged model loaded last
        self._local: Score = (None, None)  # of the contribution
        self._judged = -1  # the batches done when the score was measured
        self._left = 0
        self._interval = 0
        self._begun_with = 0  # the number of the model that this start of the program began with
        self._looked = 0.0
        self._given = False  # whether the segment holds a model of the swarm
        self._idle_batches = 0  # done after the swarm's end: they have no part in the model
        self._announce()

    @property
    def resumed_epoch(self) -> int:
        """`place_epoch`, for a loop that begins there: reading it makes `epochs` count from it."""
        if self._place is not None and self._start_round is not None:
            self._start_round, self.epochs = None, self._place.epoch
            self._log.info("this program goes on with epoch %d", self.epochs)
        return self.place_epoch

    @property
    def place_epoch(self) -> int:
        """The epoch in which a program that was killed stood; 0 for a new one, and where its optimizer is not known."""
        return 0 if self._place is None else self._place.epoch

    @logged
    def begin(self) -> None:
        """Connect, say hello, and start from the model that the swarm starts from."""
        if self.phase is not Phase.NEW:
            raise CallOrderError("on_train_begin() was called a second time")
        self._thread, self._pid = threading.get_ident(), os.getpid()
        self.warn_about_epochs()
        if self.loopback:
            self.phase = Phase.TRAINING
            return
        self._link: Link = open_link(self._environment)
        layout = self._model.layout()
        welcome = self._greet(layout)
        self._segment = Segment(self._link.take_descriptor(), layout, welcome)
        self._interval = welcome.interval
        self.agreed = dict(welcome.arguments)
        self._places = Places.at(self._environment.get(STATE), self._log)
        self.phase = Phase.TRAINING
        self._log.info("training with the swarm: %s", shown(welcome.arguments or sent_arguments(self._arguments)))
        self._sync("begin")
        # The existing product counts from the call after the first sync point, once.
        self._left += self._environment.get(CADENCE, "").lower() == "hpe"
        if welcome.resume and self.phase is Phase.TRAINING:
            # The node numbers the models of this start; places must go on after those of the last one.
            self._places.first = welcome.resume.get("round", 0) - self._begun_with
            self._return(welcome.resume.get("round", 0))

    @property
    def left(self) -> int:
        """Batches until the next sync that is due by itself."""
        return self._left

    @logged
    def batch(self, steps: int = 1, loss: float | None = None) -> None:
        """Count `steps` optimiser steps; come to a sync point when one is due or the node asks for it."""
        if self.phase is not Phase.TRAINING:
            self._not_training("on_batch_end()")
            self._idle_batches += steps
            if not self.loopback:  # the node must see that the program is alive
                self._segment.tick(self.batches + self._idle_batches, self._loss)
            return
        self._check_thread()
        self.batches += steps
        if self.loopback:
            return
        self._left -= steps
        if loss is not None:
            self._loss = loss
        now = self._segment.tick(self.batches, self._loss)
        if self._left <= 0:
            self._sync("interval")
        elif self.heeds_node and self._segment.attention:
            self._sync("attention")
        elif now - self._looked > LOOK_EVERY:
            self._looked = now
            if not self._link.alive():
                raise NodeGoneError("the node of this program has ended")

    @logged
    def epoch(self) -> None:
        """Count an epoch."""
        if self.phase is not Phase.TRAINING:
            self._not_training("on_epoch_end()")
            return
        self._check_thread()
        self._say_if_anew()
        self.epochs += 1
        if not self.loopback:
            self._segment.epoch(self.epochs)

    @logged
    def end(self) -> None:
        """Take part in the closing round, wait for the swarm's end, and leave its final model in the program."""
        if self.phase in (Phase.NEW, Phase.ENDED):
            self._not_training("on_train_end()")
        self._check_thread()
        if self.loopback:
            self.phase = Phase.ENDED
            return
        if self.rounds == 0:
            self._log.warning("no merge happened during the training: the sync frequency may be too high")
        if self.phase is Phase.TRAINING:
            self._close()
        elif self._given:
            # Whatever the program did to its model after the swarm's end has no part in the final one.
            self._model.load(self._segment.merged)
        self._places.close()
        self._score = _finite(self._model.evaluate())
        self.phase = Phase.ENDED
        self._link.send(Evaluated(*self._score))
        self._link.send(Bye())
        self._log.info(FINAL_LINE)

    @logged
    def get_loss(self, merged: Mapping[str, Any]) -> tuple[float | None, float | None, int, int]:
        """Load these tensors by name, and judge: loss, metric, epochs done, epochs in all (0 when nobody said).

        Exact: raises ModelError on other names, shapes or dtypes than the model's.
        """
        self._model.load(views_of(self._model.layout(), merged))
        return *_finite(self._model.evaluate()), self.epochs, self.total_epochs or 0

    def warn_about_epochs(self) -> None:
        """Say, once, that nobody has said how many epochs there will be."""
        if self.total_epochs is not None or self._warned:
            return
        self._warned = True
        self._log.warning(
            "total_epochs (totalEpochs) is missing.\n"
            "The training is not touched by it; what is shown of its progress has no end to measure by."
        )

    @logged
    def _announce(self) -> None:
        """What the program asked for, and what is missing, before anything is done."""
        self._log.info("SwarmCallback: %s", shown(self._arguments))
        if self.loopback:
            self._log.info("SWARM_LOOPBACK is set: this program trains alone, without a swarm")
        else:
            check_node(self._environment)
        if self._arguments.get("val_data") is None:
            adaptive = " and add nothing to adaptive sync" if self._arguments.get("use_adaptive_sync") else ""
            self._log.warning("val_data (adsValData) is missing: loss and metric here stay unknown%s", adaptive)

    def _return(self, round_: int) -> None:
        """This program was started again: with the model of that round, and with its own state of then."""
        self._start_round = round_
        self._place = place = self._places.newest(round_)
        if place is None or not isinstance(self._model, Keeper):
            return
        if not (place.arrays or place.facts):
            # An optimizer that the callback does not know begins anew, and so do the epochs.
            self._place = None
            return
        try:
            self._model.restore(place.arrays, place.facts)
            self._log.info("the optimizer's state after round %d is back", place.round)
        except ModelError as error:
            self._log.warning("the optimizer's state of round %d does not fit: %s", place.round, error.message)

    def _say_if_anew(self) -> None:
        if self._start_round is not None:
            self._log.info(
                "this program starts again at epoch 0 from the last committed model (round %d); with `optimizer=` and "
                "`for epoch in callback.epochs(E)` it would go on where it was",
                self._start_round,
            )
            self._start_round = None

    def _here(self, round_: int) -> Place:
        state = self._model.state() if isinstance(self._model, Keeper) else None
        return Place(self._places.first + round_, self.batches, self.epochs, *(state or ({}, {})))

    def _greet(self, layout: tuple[TensorSpec, ...]) -> Welcome:
        hello = Hello(
            protocol=PROTOCOL,
            package=swarm_lab.__version__,
            platform=self._model.platform,
            pid=os.getpid(),
            arguments=sent_arguments(self._arguments | {"total_epochs": self.total_epochs}),
            layout=layout,
        )
        if self._link.greeted:
            raise CallOrderError("another SwarmCallback of this program has begun to train; a program has one")
        self._link.greeted = True
        self._link.send(hello)
        welcome = self._answer()
        if not isinstance(welcome, Welcome):
            raise LinkError(f"the node answered hello with {welcome.kind}")
        if welcome.protocol != PROTOCOL:
            raise LinkError(f"the program speaks link version {PROTOCOL}, its node version {welcome.protocol}")
        return welcome

    def _answer(self) -> FromNode:
        answer = self._link.receive()
        if isinstance(answer, Refused):
            raise RefusedByNodeError(f"{answer.message} ({answer.code})", next_step=answer.next)
        return answer

    def _sync(self, reason: Reason) -> None:
        self._segment.wait_for_room(self._link.check)
        self._model.store(self._segment.contribution)
        self._local = _finite(self._model.evaluate()) if reason == "interval" else (None, None)
        answer = self._park(reason, fresh=True)
        if answer.interval is not None:
            self._interval = self._left = answer.interval
        elif reason != "attention":
            self._left += self._interval
        if answer.stop and self.phase is Phase.TRAINING:
            self._close()

    def _close(self) -> None:
        self._segment.wait_for_room(self._link.check)
        self._model.store(self._segment.contribution)
        # A merged model that neither a batch nor the program has changed since it was judged is not judged again.
        judged = self._judged == self.batches and self._segment.contribution == self._segment.merged
        self._local = self._score if judged else _finite(self._model.evaluate())
        fresh = True
        while self.phase is Phase.TRAINING:
            self._park("end", fresh=fresh)
            fresh = False

    def _park(self, reason: Reason, *, fresh: bool) -> Release:
        if reason != "begin":
            self._say_if_anew()
        loss, metric = self._score
        training = None if math.isnan(self._loss) or math.isinf(self._loss) else self._loss
        self._link.send(Sync(reason, self.batches, self.epochs, loss, metric, training, fresh, *self._local))
        answer = self._answer()
        if not isinstance(answer, Release):
            raise LinkError(f"the node answered a sync with {answer.kind}")
        if reason == "begin":
            self._begun_with = answer.round
        if answer.model:
            self._given = True
            self._model.load(self._segment.merged)
            self.rounds += reason in ("interval", "attention")
        if answer.finished:
            self.phase = Phase.OVER
            self.stop_training = True
        elif answer.model:
            self._score = _finite(self._model.evaluate())
            self._judged = self.batches
            if reason in ("interval", "attention"):
                self._places.keep(lambda: self._here(answer.round))
        return answer

    def _not_training(self, call: str) -> None:
        if self.phase is Phase.NEW:
            raise CallOrderError(f"{call} was called before on_train_begin()")
        if self.phase is Phase.ENDED:
            raise CallOrderError(f"{call} was called after on_train_end()")

    def _check_thread(self) -> None:
        # A forked child has the same thread by number, and the same shared memory.
        if threading.get_ident() != self._thread or os.getpid() != self._pid:
            self._wrong_caller()

    def _wrong_caller(self) -> NoReturn:
        if os.getpid() != self._pid:
            raise WrongCallerError(f"process {os.getpid()} used the callback of process {self._pid}")
        raise WrongCallerError(
            f"thread {threading.current_thread().name!r} called a method of the callback that another thread began"
        )


def _finite(score: Score) -> Score:
    loss, metric = score
    return (
        loss if loss is not None and math.isfinite(loss) else None,
        metric if metric is not None and math.isfinite(metric) else None,
    )
