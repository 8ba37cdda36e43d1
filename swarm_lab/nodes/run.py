"""Runs a node's main program: logs, its record on disk, signals, and an end within five seconds.

    def main(config: NodeConfig) -> None:
        run(config, serve)

    async def serve(config: NodeConfig) -> None:
        server = grpc.aio.server()
        ...
        try:
            await asyncio.Event().wait()      # until SIGTERM or SIGINT cancels this task
        finally:
            await server.stop(grace=1)        # tidy here; 4 seconds at most

`serve` may also return (the node has nothing more to do) or raise: a `SwarmLabError` is logged with its code
and written into `state.json` as `failed`; the process ends with 1, so that the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts import logs, metrics, process
from swarm_lab.facts.state import StateFile
from swarm_lab.nodes.config import NodeConfig

log = logging.getLogger(__name__)

Serve = Callable[[NodeConfig], Coroutine[Any, Any, None]]

END_LIMIT_S = 5.0


def run(config: NodeConfig, serve: Serve) -> None:
    """Run `serve(config)` until it ends or a signal ends it; leaves the process with exit status 0 or 1."""
    logs.configure(config)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )
    config.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.record_self(config.directory)
    log.info("%s starts", config.kind, extra={"pid": os.getpid()})
    state = StateFile(config.directory / "state.json")
    try:
        # Threads of the exchange give the interpreter's lock back after each block: five milliseconds, the default, is
        # what each would then wait for it.
        sys.setswitchinterval(0.0005)
        asyncio.run(_until_signal(config, serve))
        log.info("%s ended", config.kind)
        state.update("stopped")
    except SwarmLabError as error:
        log.error(error.message, extra={"code": error.code, "next": error.next_step})
        state.update("failed", f"{error.code}: {error.message}", next=error.next_step)
        raise SystemExit(1) from error
    except Exception as error:  # whatever it is, the status must say that the node failed, and of what
        log.exception("the node failed")
        state.update("failed", logs.redact(f"{type(error).__name__}: {error}"))
        raise SystemExit(1) from error
    finally:
        _end_for_certain()


async def _until_signal(config: NodeConfig, serve: Serve) -> None:
    task = asyncio.ensure_future(serve(config))
    writing = asyncio.create_task(metrics.keep_writing(config.directory), name="metrics")
    told = False

    def end(number: int) -> None:
        nonlocal told
        log.info("told to end by %s", signal.Signals(number).name)
        if not told:
            told = True
            _end_for_certain()
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
    finally:
        writing.cancel()


def _end_for_certain() -> None:
    """Leave the process when its end takes too long: a blocked thread or a stream that never closes."""

    def leave() -> None:
        with contextlib.suppress(OSError):
            log.error("did not end within %g s: leaves now", END_LIMIT_S)
        os._exit(1)

    timer = threading.Timer(END_LIMIT_S, leave)
    timer.daemon = True
    timer.start()


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("uncaught %s", kind.__name__, exc_info=(kind, error, trace))
