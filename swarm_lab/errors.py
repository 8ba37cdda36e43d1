"""Every failure a user can meet: its code, its cause and the next step."""

from __future__ import annotations

from typing import ClassVar


class SwarmLabError(Exception):
    """A failure with a code (`SWL-...`), one cause and one next step.

    Subclasses set `code`, `title` (what the docs' table says) and `next_step`; `message` is the cause as it happened,
    with the names and values of this case. `exit_code` is 2 for a wrong call and 1 for the rest.
    """

    code: ClassVar[str] = "SWL-000"
    title: ClassVar[str] = "something failed that has no code of its own"
    next_step: str = "run `swarm-lab doctor` and report what it says"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if next_step is not None:
            self.next_step = next_step

    def to_dict(self) -> dict[str, str]:
        """The object that the front door prints: `{"code", "message", "next"}`."""
        return {"code": self.code, "message": self.message, "next": self.next_step}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}\nNext: {self.next_step}"


class UsageError(SwarmLabError):
    """A call that cannot be meant: unknown verb or option, a value that does not fit."""

    code = "SWL-101"
    title = "the call is wrong"
    next_step = "see `swarm-lab --help`"
    exit_code = 2


# --- front door -------------------------------------------------------------------------------------------


# --- identity ---------------------------------------------------------------------------------------------


# --- license ----------------------------------------------------------------------------------------------


# --- ledger and network -----------------------------------------------------------------------------------


# --- rounds and training ----------------------------------------------------------------------------------


# --- programs and seats -----------------------------------------------------------------------------------


# --- environment ------------------------------------------------------------------------------------------
