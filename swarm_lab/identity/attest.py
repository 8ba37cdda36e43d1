"""Which identity a process may have: rules for nodes and for the owner of the swarm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import psutil

from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.launches import LauncherSilentError, Launches
from swarm_lab.identity.peercred import Caller

OPERATOR = "operator"


class RefusedError(Exception):
    """The process gets no identity; the text says why, for the issuer's log."""


class Attestor(Protocol):
    """Gives processes their identity. May block for a few seconds; safe to call from any thread."""

    def attest(self, caller: Caller) -> SpiffeId:
        """The identity of the process; raises `RefusedError`."""
        ...


class NodeAttestor:
    """Nodes: exactly the processes that the swarm launched as such, not their children.

    `entry` gives the identity registered for a node's name and raises `RefusedError` where there is none. It is
    asked each time, so that nodes may come and go.
    """

    def __init__(self, owner: int, launches: Launches, entry: Callable[[str], SpiffeId]) -> None:
        self._owner = owner
        self._launches = launches
        self._entry = entry

    def attest(self, caller: Caller) -> SpiffeId:
        """See `Attestor`."""
        _check_owner(caller, self._owner)
        try:
            name = self._launches.name_of(caller.pid)
        except LauncherSilentError as silent:
            raise RefusedError(f"not seen before, and {silent}") from silent
        if name is None:
            raise RefusedError("the supervisor runs no such process")
        return self._entry(name)


class OwnerAttestor:
    """The operator: any process of the owner's uid, except nodes and what nodes have started, such as programs.

    As between plain processes of one user, that holds against accidents and not against malice.
    """

    def __init__(
        self,
        owner: int,
        launches: Launches,
        trust_domain: str,
        ancestors: Callable[[int], list[int]] | None = None,
    ) -> None:
        self._owner = owner
        self._launches = launches
        self._identity = SpiffeId(trust_domain, "swci", OPERATOR)
        self._ancestors = ancestors or _ancestors

    def attest(self, caller: Caller) -> SpiffeId:
        """See `Attestor`."""
        _check_owner(caller, self._owner)
        # The owner needs an identity also where the supervisor is gone; the memory of its processes counts then.
        with suppress(LauncherSilentError):
            self._launches.refresh()
        for pid in (caller.pid, *self._ancestors(caller.pid)):
            name = self._launches.remembered(pid)
            if name is not None:
                raise RefusedError(f"it belongs to {name}, whose processes are no operators")
        return self._identity


def _check_owner(caller: Caller, owner: int) -> None:
    if caller.uid != owner:
        raise RefusedError(f"it runs as uid {caller.uid}, the swarm belongs to {owner}")


def _ancestors(pid: int) -> list[int]:
    try:
        return [parent.pid for parent in psutil.Process(pid).parents()]
    except psutil.NoSuchProcess as error:
        raise RefusedError("the process has ended") from error
