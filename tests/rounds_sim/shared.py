"""Pure functions of a message or a view, computed once for all nodes of a simulation instead of once for each.

A thousand nodes check the same plan; each of them is handed the same object. So the answer is kept by the identity of
the arguments, which are kept as well, so that no other object gets their place. The machine does not know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from swarm_lab.rounds import assignments, checks, exchange, member, messages, order, verdicts

P = ParamSpec("P")
T = TypeVar("T")
MOST = 4096
_caches: list[dict[Any, Any]] = []


def forget() -> None:
    """Another world begins."""
    for cache in _caches:
        cache.clear()


def once(function: Callable[P, T], skip: tuple[int, ...] = ()) -> Callable[P, T]:
    """`function`, by the identity of its arguments but those that are the same for all nodes of a world."""
    cache: dict[Any, tuple[Any, T]] = {}
    _caches.append(cache)

    @wraps(function)
    def shared(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs:
            return function(*args, **kwargs)
        key = tuple(x if isinstance(x, str | int) else id(x) for k, x in enumerate(args) if k not in skip)
        found = cache.get(key)
        if found is None:
            if len(cache) > MOST:
                cache.clear()
            found = cache[key] = args, function(*args)
        return found[1]

    return shared


def install() -> None:
    """Rules (place 0 where it is skipped) differ between the nodes of a world only in what these do not ask."""
    checks.bad_plan = once(checks.bad_plan, skip=(0,))
    checks.bad_certificate = once(checks.bad_certificate, skip=(0,))
    checks.unexplained = once(checks.unexplained)
    order.coordinators = once(order.coordinators, skip=(0,))
    order.present = once(order.present)
    exchange.Assignment.givers = once(exchange.Assignment.givers)  # type: ignore[method-assign]
    assignments.assignment_of = once(assignments.assignment_of, skip=(0,))
    member.assignment_of = verdicts.assignment_of = assignments.assignment_of
    messages.PlanMessage.result = once(messages.PlanMessage.result)  # type: ignore[method-assign]
    messages.PlanMessage.participants = once(messages.PlanMessage.participants)  # type: ignore[method-assign]
    messages.Result.nodes = once(messages.Result.nodes)  # type: ignore[method-assign]
    messages.Certificate.voters = once(messages.Certificate.voters)  # type: ignore[method-assign]


install()
