"""The logger of programs that bring none, and arguments as a log shows them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from swarm_lab.callback.errors import SwarmError


def default_logger() -> logging.Logger:
    """The logger of programs that bring none: named `SwarmCallback`, INFO, on stdout."""
    logger = logging.getLogger("SwarmCallback")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s : %(name)s : %(levelname)s : %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


@contextmanager
def failures_logged(given: Mapping[str, Any]) -> Iterator[None]:
    """While a callback is made from these arguments, the given logger hears of failures, or the one of all programs."""
    try:
        yield
    except SwarmError as error:
        logger = given.get("logger")
        error.log(logger if isinstance(logger, logging.Logger) else default_logger())
        raise


def shown(arguments: Mapping[str, Any]) -> str:
    """Plain values as they are, of everything else the type."""
    shown = {
        name: value if isinstance(value, str | int | float | None) else type(value).__name__
        for name, value in sorted(arguments.items())
    }
    return ", ".join(f"{name}={value}" for name, value in shown.items()) or "no arguments"
