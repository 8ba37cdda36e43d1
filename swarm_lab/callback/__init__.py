"""What a program imports to train with the swarm: one name, `SwarmCallback`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from swarm_lab.callback.arguments import positional
from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.logs import failures_logged

__all__ = ["SwarmCallback"]

# Where the kinds of models come from: a module that is not loaded has made no model.
_HUGGING_FACE = (
    ("transformers.modeling_utils", "PreTrainedModel"),
    ("peft.peft_model", "PeftModel"),
    ("peft.mixed_model", "PeftMixedModel"),
)
_SKLEARN = (("sklearn.base", "BaseEstimator"),)


class _Either(type):
    """Makes `isinstance(x, SwarmCallback)` true for the callback of each framework."""

    def __instancecheck__(cls, instance: object) -> bool:
        kinds = (
            ("swarm_lab.callback.torch", "TorchCallback"),
            ("swarm_lab.callback.keras", "KerasCallback"),
            ("swarm_lab.callback.sklearn", "SklearnCallback"),
        )
        return _is_one_of(instance, kinds)


class SwarmCallback(metaclass=_Either):
    """The callback that makes a program a member of a swarm.

    With `model=` a `torch.nn.Module` it is the one for PyTorch; with a Hugging Face model a
    `transformers.TrainerCallback` that serves a PyTorch loop as well; with an estimator the one for scikit-learn;
    without a model a `keras.callbacks.Callback`.

    Every argument may be left out (but `model`, where it is not Keras): what the program does not say comes from the
    command line of `swarm-lab train`. In snake_case, the documented camelCase names in brackets:

    - `sync_frequency` (`syncFrequency`): batches between two sync rounds, at least 1
    - `min_peers` (`minPeers`): peers that a round needs, at least 1
    - `training_contract` (`trainingContract`): the training to join
    - `val_data` (`adsValData`), `val_batch_size` (`adsValBatchSize`): local data to judge merged models with;
      torch: a `DataLoader` or `(x, y)`; Keras: `(x, y)`, `(x, y, sample_weight)` or anything `evaluate` takes;
      Hugging Face: a dataset, a `DataLoader` or a list of dicts with labels; scikit-learn: `(x, y[, sample_weight])`
    - `loss_function`, `loss_function_args` (`lossFunction`, `lossFunctionArgs`): torch: a class of `torch.nn`;
      scikit-learn: a function of `sklearn.metrics`; Hugging Face needs none, its models bring their own
    - `metric_function`, `metric_function_args` (`metricFunction`, `metricFunctionArgs`): torch: a class of
      `torchmetrics`; Keras: a metric of Keras by any of its names, compiled or not; scikit-learn: a function of
      `sklearn.metrics`; Hugging Face: a class of `torchmetrics`, or a function like `compute_metrics` of `Trainer`
    - `node_weightage` (`nodeWeightage`): weight in the merge, 1 to 100
    - `merge_method` (`mergeMethod`): mean, coordmedian, geomedian
    - `checkin_model_on_train_end` (`checkinModelOnTrainEnd`): snapshot, active, inactive
    - `early_stopping` (`earlyStopping`): end after that many rounds without a better mean validation loss; 0 = never
    - `optimizer`, `scheduler`: torch: one or several, so that their state comes back after a restart; Keras: the
      optimizer of a loop of your own (the compiled one is known)
    - `parameters`: torch, Keras: `all`, or `trainable` to send only what is trained (LoRA); the rest stays local
    - `hf_mode` (`hfMode`): Hugging Face: `full`, or `peft` for the adapter alone; as the model is when left out
    - `init_data` (`initData`), `classes`, `weight_attrs` (`weightAttrs`): scikit-learn: local rows `(x, y)` for the
      first `partial_fit`, all labels of all nodes, and the attributes that travel of an estimator of an unknown kind
    - `use_adaptive_sync` (`useAdaptiveSync`), `total_epochs` (`totalEpochs`), `logger`, `ml_platform`

    Raises CallbackArgumentError on an unknown name, with the nearest known one, and on a value that does not fit.
    """

    def __new__(
        cls,
        sync_frequency: int | None = None,
        min_peers: int | None = None,
        training_contract: str = "",
        **arguments: Any,
    ) -> Any:
        """The callback of the framework that the program uses."""
        given = {**positional(sync_frequency, min_peers, training_contract), **arguments}
        with failures_logged(given):
            return _framework(given.get("model"))(**given)


def _framework(model: object) -> Any:
    """The class for this model: nothing is imported that the program has not imported itself."""
    keras = sys.modules.get("keras")
    torch = sys.modules.get("torch")
    # A Keras model on the torch backend is a torch module as well, and counts as Keras.
    if model is not None and keras is not None and isinstance(model, keras.Model):
        return import_module("swarm_lab.callback.keras").KerasCallback
    if model is not None and torch is not None and isinstance(model, torch.nn.Module):
        if _is_one_of(model, _HUGGING_FACE):
            return import_module("swarm_lab.callback.huggingface").HuggingFaceCallback
        return import_module("swarm_lab.callback.torch").TorchCallback
    if model is not None and _is_one_of(model, _SKLEARN):
        return import_module("swarm_lab.callback.sklearn").SklearnCallback
    if model is not None:
        raise CallbackArgumentError(
            f"model must be a torch.nn.Module or an estimator of scikit-learn, not {type(model).__name__}"
        )
    if keras is None and "tensorflow" not in sys.modules:
        raise CallbackArgumentError(
            "model is missing: SwarmCallback(model=...) for PyTorch and scikit-learn; import keras first for Keras"
        )
    return import_module("swarm_lab.callback.keras").KerasCallback


def _is_one_of(thing: object, kinds: tuple[tuple[str, str], ...]) -> bool:
    return any(
        isinstance(thing, getattr(module, name))
        for home, name in kinds
        if (module := sys.modules.get(home)) is not None
    )
