"""Loss and metric of a Hugging Face model on the user's validation data: batches of dicts with labels."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.data.data_collator import default_data_collator
from transformers.trainer_pt_utils import nested_concat, nested_detach, nested_numpify
from transformers.trainer_utils import EvalPrediction
from transformers.utils.generic import find_labels

from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError
from swarm_lab.callback.session import Score
from swarm_lab.callback.torch_evaluation import Evaluation, _make, _named, _naming, as_tensor

BATCH = 64
PADDING = -100  # what the models' losses leave out


@dataclass(slots=True)
class HuggingFaceEvaluation(Evaluation):
    """Judges by the model's own loss, or by a loss of `torch.nn` on logits and labels.

    The metric is one of `torchmetrics` on logits and labels, or a function like `compute_metrics` of `Trainer`: it
    gets an `EvalPrediction` of NumPy arrays, and gives a number or a dict whose first value counts.
    """

    function: Callable[[Any], Any] | None = None
    # How rows become a batch: Trainer's own way, once it is known.
    collate: Callable[[list[Any]], Any] = default_data_collator

    @classmethod
    def of(cls, values: Mapping[str, Any], logger: logging.Logger) -> HuggingFaceEvaluation | None:
        """From the callback's arguments; None without validation data. Raises CallbackArgumentError."""
        data = values.get("val_data")
        if data is None:
            return None
        named = values.get("metric_function")
        function = named if callable(named) else None
        metric = None if function is not None else _make("torchmetrics", "metric_function", values)
        made = cls((), _make("torch.nn", "loss_function", values), metric, logger)
        made.function = function
        made.batches = made._batches(data, values.get("val_batch_size", BATCH))
        return made

    def _batches(self, data: Any, size: int) -> Iterable[Any]:
        if isinstance(data, DataLoader):
            return data
        if isinstance(data, Mapping):
            columns = {name: as_tensor(column) for name, column in data.items()}
            lengths = {len(column) for column in columns.values()}
            if len(lengths) != 1:
                raise CallbackArgumentError(f"the columns of val_data have {sorted(lengths)} rows")
            data = _rows(columns, lengths.pop())
        if not hasattr(data, "__getitem__") or not hasattr(data, "__len__") or isinstance(data, str | tuple):
            raise CallbackArgumentError(
                "val_data must be a dataset, a list of dicts, a dict of columns, or a DataLoader of dict batches"
            )
        return DataLoader(data, batch_size=size, collate_fn=self._collated) if len(data) else ()

    def _collated(self, rows: list[Any]) -> Any:
        return self.collate(rows)

    def _run(self, model: torch.nn.Module, device: torch.device) -> Score:
        base: Any = getattr(model, "get_base_model", lambda: model)()
        labels = find_labels(type(base)) or ["labels"]
        accepted = {*inspect.signature(base.forward).parameters, *labels}
        judged: list[tuple[Any, Any]] = []
        total, samples = 0.0, 0
        for batch in _named("val_data", self.batches):
            inputs = _inputs(batch, accepted, device)
            rows = len(next(iter(inputs.values())))
            with _naming("the model"):
                output = model(**inputs)
            total += self._loss_of(output, inputs, labels) * rows
            samples += rows
            self._see(output, inputs, labels, judged)
        if samples == 0:
            self.logger.warning("the validation data has no samples: loss and metric stay unknown")
            return None, None
        return total / samples, self._value(judged)

    def _loss_of(self, output: Any, inputs: Mapping[str, torch.Tensor], labels: list[str]) -> float:
        """The mean over the batch's rows, or over what the model's own loss counts in them."""
        if self.loss is not None:
            logits, target = _logits(output), _target(inputs, labels)
            with _naming(f"loss_function {type(self.loss).__name__}"):
                value = float(self.loss.to(target.device)(logits, target).sum())
            return value if getattr(self.loss, "reduction", "mean") == "mean" else value / len(target)
        found = output.get("loss") if isinstance(output, Mapping) else output[0]
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            raise EvaluationError(
                "the model gave no loss for a batch of val_data",
                next_step=f"give its rows labels under {' or '.join(labels)}, or name a loss_function",
            )
        return float(found)

    def _see(self, output: Any, inputs: Mapping[str, Any], labels: list[str], judged: list[tuple[Any, Any]]) -> None:
        if self.metric is not None:
            target = _target(inputs, labels)
            with _naming(f"metric_function {type(self.metric).__name__}"):
                self.metric.to(target.device).update(_logits(output), target)
        elif self.function is not None:
            targets = tuple(inputs[name] for name in labels if name in inputs)
            predictions = _predictions(output)
            judged.append(
                (
                    nested_numpify(nested_detach(predictions)),
                    nested_numpify(targets[0] if len(targets) == 1 else targets),
                )
            )

    def _value(self, judged: list[tuple[Any, Any]]) -> float | None:
        if self.function is None:
            return self._metric()
        predictions, targets = judged[0]
        for more, labels in judged[1:]:
            predictions = nested_concat(predictions, more, padding_index=PADDING)
            targets = nested_concat(targets, labels, padding_index=PADDING)
        name = getattr(self.function, "__name__", "metric_function")
        with _naming(f"metric_function {name}"):
            value = self.function(EvalPrediction(predictions=predictions, label_ids=targets))
            return float(next(iter(value.values())) if isinstance(value, Mapping) else value)


def _rows(columns: Mapping[str, torch.Tensor], count: int) -> list[dict[str, torch.Tensor]]:
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def _inputs(batch: Any, accepted: set[str], device: torch.device) -> dict[str, torch.Tensor]:
    """What the model takes of a batch, on its device."""
    if not isinstance(batch, Mapping):
        raise EvaluationError("a batch of val_data is no dict of tensors like {'input_ids': ..., 'labels': ...}")
    found = {name: part.to(device) for name, part in batch.items() if name in accepted and torch.is_tensor(part)}
    if not found:
        raise EvaluationError(f"a batch of val_data has none of the model's inputs: it has {', '.join(batch)}")
    return found


def _target(inputs: Mapping[str, torch.Tensor], labels: list[str]) -> torch.Tensor:
    found = [inputs[name] for name in labels if name in inputs]
    if len(found) != 1:
        raise EvaluationError(f"a batch of val_data has {len(found)} of the labels {', '.join(labels)}, not one")
    return found[0]


def _logits(output: Any) -> torch.Tensor:
    found = _predictions(output)
    first = found[0] if isinstance(found, tuple) else found
    if not isinstance(first, torch.Tensor):
        raise EvaluationError("the model gave no logits")
    return first


def _predictions(output: Any) -> Any:
    """What the model gave beside its loss: one tensor, or a tuple of several."""
    if not isinstance(output, Mapping):
        rest = tuple(output[1:])
        return rest[0] if len(rest) == 1 else rest
    if isinstance(logits := output.get("logits"), torch.Tensor):
        return logits
    rest = tuple(value for name, value in output.items() if name != "loss" and isinstance(value, torch.Tensor))
    return rest[0] if len(rest) == 1 else rest
