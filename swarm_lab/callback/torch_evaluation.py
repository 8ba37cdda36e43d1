"""Loss and metric of a PyTorch model on the user's validation data."""

from __future__ import annotations

import importlib
import logging
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
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
        if metric is not None and not (hasattr(metric, "update") and hasattr(metric, "compute")):
            raise CallbackArgumentError(f"metric_function {values['metric_function']} is no metric of torchmetrics")
        if loss is None and metric is None:
            raise CallbackArgumentError("val_data needs a loss_function, a metric_function, or both")
        return cls(_batches(data, values.get("val_batch_size", BATCH)), loss, metric, logger)

    def run(self, model: torch.nn.Module) -> Score:
        """(loss, metric), the loss as the mean over the samples; both None for no samples.

        Inputs go to the device of the model's first tensor, targets, loss and metric to that of its output. The
        modules' modes and all random states are left as they were, also when it raises EvaluationError.
        """
        devices = list(dict.fromkeys(tensor.device for tensor in (*model.parameters(), *model.buffers())))
        with torch.no_grad(), _evaluating(model), _randomness_kept(devices):
            try:
                return self._run(model, devices[0] if devices else torch.device("cpu"))
            finally:
                if self.metric is not None:
                    self.metric.reset()  # some metrics hold every prediction they have seen

    def _run(self, model: torch.nn.Module, device: torch.device) -> Score:
        total, samples = 0.0, 0
        # A mean becomes a sum again, so that a short last batch counts for what it has.
        mean = getattr(self.loss, "reduction", "mean") == "mean"
        batches = _named("val_data", self.batches)
        for batch in batches:
            if not (isinstance(batch, list | tuple) and len(batch) == 2 and all(map(torch.is_tensor, batch))):
                raise EvaluationError("a batch of val_data is no pair of tensors (input, target)")
            with _naming("the model"):
                output = model(batch[0].to(device))
            place = output.device if isinstance(output, torch.Tensor) else device
            target = batch[1].to(place)
            if self.loss is not None:
                with _naming(f"loss_function {type(self.loss).__name__}"):
                    total += float(self.loss.to(place)(output, target).sum()) * (len(target) if mean else 1)
            if self.metric is not None:
                with _naming(f"metric_function {type(self.metric).__name__}"):
                    self.metric.to(place).update(output, target)
            samples += len(target)
        if samples == 0:
            self.logger.warning("the validation data has no samples: loss and metric stay unknown")
            return None, None
        return (None if self.loss is None else total / samples), self._metric()

    def _metric(self) -> float | None:
        if self.metric is None:
            return None
        name = f"metric_function {type(self.metric).__name__}"
        with _naming(name):
            value = self.metric.compute()
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            kind = f"{value.numel()} numbers" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
            raise EvaluationError(f"{name} gives {kind} and must give one number: see its argument average")
        return float(value)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Whatever the user's data, model, loss or metric raises becomes an EvaluationError that says which of them."""
    try:
        yield
    except Exception as error:  # the user's own code: anything can come, and its cause is kept
        raise EvaluationError(f"{what} raised {type(error).__name__}: {error}") from error


def _named(what: str, source: Iterable[Any]) -> Iterator[Any]:
    with _naming(what):
        items = iter(source)
    done = object()
    while True:
        with _naming(what):
            item = next(items, done)
        if item is done:
            return
        yield item


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _randomness_kept(devices: list[torch.device]) -> Iterator[None]:
    # A DataLoader draws a seed each time it is iterated: without this, judging would change the training.
    plain, numbers = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device for device in devices if device.type == "cuda"]):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(numbers)


def _alone() -> bool:
    return False


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
        made = cls(**given)
        parts: Iterable[Any] = made.modules() if isinstance(made, torch.nn.Module) else ()
        for part in parts:
            # Only rank 0 judges: a metric that gathers from all ranks would wait for the others for ever.
            if hasattr(part, "distributed_available_fn"):
                part.distributed_available_fn = _alone
        return made
    except (TypeError, ValueError) as error:
        raise CallbackArgumentError(f"{argument}_args do not fit {name}: {error}") from error


def as_tensor(data: Any) -> torch.Tensor:
    """`data` as a tensor where it lies: `torch.as_tensor` moves also tensors to the program's default device."""
    return data if isinstance(data, torch.Tensor) else torch.as_tensor(data, device="cpu")


def _batches(data: Any, size: int) -> Iterable[Any]:
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, list | tuple) and len(data) == 2:
        x, y = map(as_tensor, data)
        if len(x) != len(y):
            raise CallbackArgumentError(f"val_data has {len(x)} inputs and {len(y)} targets")
        return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    raise CallbackArgumentError("val_data must be a torch.utils.data.DataLoader or a pair (inputs, targets)")
