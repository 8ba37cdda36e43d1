"""Loss and metric of a PyTorch model on the user's validation data."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError
from swarm_lab.callback.session import Score

BATCH = 256


@dataclass(slots=True)
class Evaluation:
    """How a merged model is judged: `(input, target)` batches, a loss of `torch.nn`, a metric of `torchmetrics`."""

    batches: Iterable[Any]
    loss: torch.nn.Module | None
    metric: Any
    logger: logging.Logger = field(repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any], logger: logging.Logger) -> Evaluation | None:
        """From the callback's arguments; None without validation data. Raises CallbackArgumentError."""
        data = values.get("val_data")
        if data is None:
            return None
        loss = _make("torch.nn", "loss_function", values)
        if loss is not None and not isinstance(loss, torch.nn.Module):
            raise CallbackArgumentError(f"loss_function {values['loss_function']} is no loss of torch.nn")
        metric = _make("torchmetrics", "metric_function", values)
        if loss is None and metric is None:
            raise CallbackArgumentError("val_data needs a loss_function, a metric_function, or both")
        return cls(_batches(data, values.get("val_batch_size", BATCH)), loss, metric, logger)

    def run(self, model: torch.nn.Module) -> Score:
        """(loss, metric), the loss as the mean over the samples; both None for no samples.

        The modules' modes and the random state are left as they were, also when it raises EvaluationError.
        """
        try:
            with torch.no_grad(), _evaluating(model):
                return self._run(model)
        except EvaluationError:
            raise
        except Exception as error:  # whatever the user's data, model or metric raises, with its cause kept
            raise EvaluationError(f"{type(error).__name__}: {error}") from error

    def _run(self, model: torch.nn.Module) -> Score:
        first = next(iter([*model.parameters(), *model.buffers()]), None)
        device = torch.device("cpu") if first is None else first.device
        loss = None if self.loss is None else self.loss.to(device)
        metric = None if self.metric is None else self.metric.to(device)
        if metric is not None:
            metric.reset()
        total, samples = 0.0, 0
        for batch in self.batches:
            if not isinstance(batch, list | tuple) or len(batch) != 2:
                raise EvaluationError("a batch of val_data is no pair (input, target)")
            x, y = (part.to(device) for part in batch)
            output = model(x)
            if loss is not None:
                # A mean becomes a sum again, so that a short last batch counts for what it has.
                mean = getattr(loss, "reduction", "mean") == "mean"
                total += float(loss(output, y).sum()) * (len(y) if mean else 1)
            if metric is not None:
                metric.update(output, y)
            samples += len(y)
        if samples == 0:
            self.logger.warning("the validation data has no samples: loss and metric stay unknown")
            return None, None
        value = None if metric is None else float(metric.compute())
        return (None if loss is None else total / samples), value


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    # A DataLoader draws a seed each time it is iterated: without this, judging would change the training.
    with torch.random.fork_rng(devices=[]):
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def _make(home: str, argument: str, values: Mapping[str, Any]) -> Any:
    name = values.get(argument)
    if name is None:
        return None
    try:
        cls = getattr(importlib.import_module(home), name)
    except ImportError as error:
        raise CallbackArgumentError(f"{argument} needs the package {home}, which is not installed") from error
    except AttributeError as error:
        raise CallbackArgumentError(f"{argument} must name a class of {home}; it has no {name}") from error
    given = values.get(f"{argument}_args", {})
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise CallbackArgumentError(f"{argument}_args do not fit {name}: {error}") from error


def _batches(data: Any, size: int) -> Iterable[Any]:
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, list | tuple) and len(data) == 2:
        x, y = (torch.as_tensor(part) for part in data)
        if len(x) != len(y):
            raise CallbackArgumentError(f"val_data has {len(x)} inputs and {len(y)} targets")
        return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    raise CallbackArgumentError("val_data must be a torch.utils.data.DataLoader or a pair (inputs, targets)")
