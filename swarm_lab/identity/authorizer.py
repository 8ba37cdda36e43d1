"""Who may call what: a gRPC server interceptor that verifies each caller and its role."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

import grpc
import grpc.aio

from swarm_lab.errors import RoleRefused, SwarmLabError
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.peers import shown_by, verify_leaf
from swarm_lab.identity.svid import IdentitySource

log = logging.getLogger(__name__)

_caller: ContextVar[SpiffeId] = ContextVar("swarm_lab_caller")
_verify_anew: ContextVar[Callable[[], SpiffeId]] = ContextVar("swarm_lab_verify_anew")


def current_peer() -> SpiffeId:
    """The verified caller, inside a handler behind `Authorizer`; raises `LookupError` elsewhere."""
    return _caller.get()


def verified_peer() -> SpiffeId:
    """The caller of a handler behind `Authorizer`, verified again: for each message of a stream that may outlive SVIDs.

    Raises what the verification at the beginning of a call raises; it costs a hash (`peers.verify_leaf`).
    """
    return _verify_anew.get()()


class Rules:
    """Which roles may call which methods, by prefix of the full name (`/package.Service/Method`).

    The longest prefix that fits decides; a method without a rule is closed to everybody.
    """

    def __init__(self, roles_by_prefix: Mapping[str, Collection[str]]) -> None:
        ordered = sorted(roles_by_prefix.items(), key=lambda rule: len(rule[0]), reverse=True)
        self._rules = [(prefix, frozenset(roles)) for prefix, roles in ordered]

    def roles(self, method: str) -> frozenset[str]:
        """The roles that may call `method`."""
        return next((roles for prefix, roles in self._rules if method.startswith(prefix)), frozenset())

    def check(self, method: str, peer: SpiffeId) -> None:
        """Raise `RoleRefused` unless `peer` may call `method`."""
        roles = self.roles(method)
        if peer.role not in roles:
            allowed = ", ".join(sorted(roles)) or "nobody"
            raise RoleRefused(f"{peer} has role {peer.role}; {method} is for {allowed}")


class Authorizer(grpc.aio.ServerInterceptor):  # type: ignore[misc, type-arg, unused-ignore]
    """Verifies every call's caller against the bundle of its trust domain and `rules`; refuses the rest.

    A refusal is PERMISSION_DENIED for the caller, with the code of the error, and one log line here. An SVID is looked
    at when a call begins: a stream that outlives it goes on, unless its handler asks for `verified_peer` again.
    """

    def __init__(self, source: IdentitySource, rules: Mapping[str, Collection[str]]) -> None:
        self._source = source
        self._rules = Rules(rules)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of the call; gRPC calls this."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else (grpc.unary_stream_rpc_method_handler)
            )
            guarded: Any = self._guard_stream(method, inner)
        else:
            inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else (grpc.unary_unary_rpc_method_handler)
            )
            guarded = self._guard_unary(method, inner)
        return make(guarded, handler.request_deserializer, handler.response_serializer)

    async def _admit(self, method: str, context: Any) -> None:
        try:
            leaf, chain = shown_by(context)
            _caller.set(self._verify(method, leaf, chain))
            _verify_anew.set(partial(self._verify, method, leaf, chain))
        except SwarmLabError as refusal:
            log.warning(
                "refused a call",
                extra={
                    "event": "refused",
                    "code": refusal.code,
                    "reason": refusal.message,
                    "method": method,
                    "peer": context.peer(),
                },
            )
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{refusal.code}: {refusal.message}")

    def _verify(self, method: str, leaf: bytes, chain: bytes) -> SpiffeId:
        peer = verify_leaf(leaf, self._source, chain=chain)
        self._rules.check(method, peer)
        return peer

    def _guard_unary(self, method: str, inner: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        async def guarded(request: Any, context: Any) -> Any:
            await self._admit(method, context)
            answer = inner(request, context)
            return await answer if inspect.isawaitable(answer) else answer

        return guarded

    def _guard_stream(self, method: str, inner: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._admit(method, context)
            answers = inner(request, context)
            if inspect.isawaitable(answers):  # a handler that calls context.write itself
                await answers
                return
            try:
                async for answer in answers:
                    yield answer
            finally:
                # When the call is cancelled the handler's own `finally` must run now, not at garbage collection.
                await answers.aclose()

        return guarded
