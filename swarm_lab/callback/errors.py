"""What can go wrong inside a program: raised by `SwarmCallback`, and reported to the node with its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import logging


class SwarmError(Exception):
    """A failure of the program's side with a code (`SWL-6xx`), one cause and one next step.

    It has the shape of `swarm_lab.errors.SwarmLabError` and not its type, because the callback imports nothing of
    the rest of the package; `swarm_lab.errors.PROGRAM_ERRORS` makes the classes of the docs' table from `ALL`.
    """

    code: ClassVar[str] = "SWL-600"
    title: ClassVar[str] = "the program's side of swarm-lab failed"
    next_step: str = "read the message, and the lines of the program above it"

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.is_logged = False
        if next_step is not None:
            self.next_step = next_step

    def log(self, logger: logging.Logger) -> None:
        """Log it as an error, once: it may pass several that would."""
        if not self.is_logged:
            self.is_logged = True
            logger.error("%s", self)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}\nNext: {self.next_step}"


class CallbackArgumentError(SwarmError):
    """An argument that `SwarmCallback` does not know, or a value that it cannot have."""

    code = "SWL-601"
    title = "an argument of SwarmCallback is wrong"
    next_step = "correct the argument where the program makes its SwarmCallback"


class NoNodeError(SwarmError):
    """The program was started by hand: there is no node at its side."""

    code = "SWL-602"
    title = "the program runs without a node"
    next_step = "run it with `swarm-lab train PROGRAM.py`, or set SWARM_LOOPBACK=true for a run without a swarm"


class CallOrderError(SwarmError):
    """A method of the callback was called too early, twice, or after the end."""

    code = "SWL-603"
    title = "the methods of SwarmCallback were called in a wrong order"
    next_step = "call on_train_begin() once, on_batch_end() after each optimiser step, on_train_end() once at the end"


class WrongCallerError(SwarmError):
    """A method was called from another thread or process than the one that began."""

    code = "SWL-604"
    title = "SwarmCallback was called from two threads or processes"
    next_step = "call its methods from the thread that trains the model, and from no other"


class NodeGoneError(SwarmError):
    """The node closed the link or died while the program was running."""

    code = "SWL-605"
    title = "the node of this program is gone"
    next_step = "see `swarm-lab status` and `swarm-lab logs NODE`; the training goes on from its last committed model"


class RefusedByNodeError(SwarmError):
    """The node does not let this program take part; its reason is the message."""

    code = "SWL-606"
    title = "the node refused the program"
    next_step = "do what the message says"


class ModelError(SwarmError):
    """The model cannot be merged: not built, or a tensor of a kind that cannot travel."""

    code = "SWL-607"
    title = "the model cannot be merged"
    next_step = "build the model before training begins, from dense tensors of plain dtypes with distinct names"


class ModelChangedError(SwarmError):
    """A tensor came, went, or changed its shape or dtype after the training began."""

    code = "SWL-608"
    title = "the model changed during the training"
    next_step = "keep names, shapes and dtypes of the model as they were at on_train_begin()"


class EvaluationError(SwarmError):
    """Evaluating the merged model on the validation data raised."""

    code = "SWL-609"
    title = "evaluating the merged model failed"
    next_step = "check val_data, loss_function and metric_function by one evaluation without the swarm"


class LinkError(SwarmError):
    """Program and node do not understand one another."""

    code = "SWL-610"
    title = "program and node do not understand one another"
    next_step = "install the same version of swarm-lab in the program's environment and in the node's"


class RanksError(SwarmError):
    """The processes of one distributed program do not make the same calls, or one of them has ended."""

    code = "SWL-611"
    title = "the ranks of a distributed program went apart"
    next_step = "make the same calls of the callback on every rank, and as many; see what the other ranks wrote last"


ALL: tuple[type[SwarmError], ...] = (
    SwarmError,
    CallbackArgumentError,
    NoNodeError,
    CallOrderError,
    WrongCallerError,
    NodeGoneError,
    RefusedByNodeError,
    ModelError,
    ModelChangedError,
    EvaluationError,
    LinkError,
    RanksError,
)
