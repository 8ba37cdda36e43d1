"""What the operator asks of an SL node: take a training, end one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Protocol

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.errors import StagingError, SwarmLabError
from swarm_lab.nodes.staging import PROTOCOL, Stage, StageRequest, parse_request, receive_files
from swarm_lab.protos import peer_pb2, peer_pb2_grpc

log = logging.getLogger(__name__)

_StageContext = grpc.aio.ServicerContext[peer_pb2.StageFrame, peer_pb2.StageReply]
_ResumeContext = grpc.aio.ServicerContext[peer_pb2.ResumeRequest, peer_pb2.ResumeReply]
_StopContext = grpc.aio.ServicerContext[peer_pb2.StopRequest, peer_pb2.StopReply]


class Trainings(Protocol):
    """The node's trainings, as far as control needs them."""

    def staged(self, request: StageRequest) -> str:
        """A training has come; returns "queued" or "started". Raises what forbids it here."""
        ...

    async def resume(self, training: str) -> str:
        """Be ready to take part again; returns "queued", "started" or "running". Raises what forbids it here."""
        ...

    def stop(self, training: str) -> str:
        """End a training; returns "stopping", "finished" or "unknown"."""
        ...


class Control(peer_pb2_grpc.ControlServicer):
    """The service `Control`; only role swci may call it."""

    def __init__(self, name: str, stage: Stage, trainings: Trainings) -> None:
        self._name = name
        self._stage = stage
        self._trainings = trainings

    async def Stage(
        self, request_iterator: AsyncIterator[peer_pb2.StageFrame], context: _StageContext
    ) -> peer_pb2.StageReply:
        """A training for this node, with the program's files."""
        try:
            request = await self._receive(request_iterator)
            state = self._trainings.staged(request)
        except SwarmLabError as error:
            log.warning("refused a training", extra={"code": error.code, "reason": error.message})
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error.code}: {error.message}")
        except OSError as error:
            log.warning("a training could not be written to disk", extra={"reason": str(error)})
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._name} cannot write: {error.strerror}")
        return peer_pb2.StageReply(protocol=PROTOCOL, package=__version__, state=state)

    async def _receive(self, frames: AsyncIterator[peer_pb2.StageFrame]) -> StageRequest:
        first = await anext(aiter(frames), None)
        if first is None or first.WhichOneof("content") != "request":
            raise StagingError("a training begins with its request")
        request = parse_request(first.request)
        if self._name not in request.rules.nodes and not request.joins:
            raise StagingError(f"the training {request.training} is for {', '.join(request.rules.nodes)}")
        files = await receive_files(request, _chunks(frames))
        self._stage.store(request, files)
        return request

    async def Resume(self, request: peer_pb2.ResumeRequest, context: _ResumeContext) -> peer_pb2.ResumeReply:
        """Go on with a training that had ended here."""
        try:
            state = await self._trainings.resume(request.training)
        except SwarmLabError as error:
            log.warning("does not go on with a training", extra={"code": error.code, "reason": error.message})
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error.code}: {error.message}")
        return peer_pb2.ResumeReply(protocol=PROTOCOL, package=__version__, state=state)

    async def Stop(self, request: peer_pb2.StopRequest, context: _StopContext) -> peer_pb2.StopReply:
        """End a training with one closing round."""
        return peer_pb2.StopReply(state=self._trainings.stop(request.training))


async def _chunks(frames: AsyncIterator[peer_pb2.StageFrame]) -> AsyncIterator[bytes]:
    async for frame in frames:
        yield frame.chunk
