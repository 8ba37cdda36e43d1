"""The arguments of `SwarmCallback`: their two spellings, their checks, and what is sent to the node."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.messages import Argument

MERGE_METHODS = ("mean", "coordmedian", "geomedian")
PARAMETERS = ("all", "trainable")
TRAIN_END = ("snapshot", "active", "inactive")
HF_MODES = ("full", "peft")
# "huggingface" is PyTorch with the arguments that Hugging Face programs have beside those of PyTorch.
# "arrays" is whatever a subclass of ArraysCallback brings.
PLATFORMS = ("torch", "keras", "sklearn", "huggingface", "arrays")
_BUILT = ("torch", "sklearn", "huggingface", "arrays")  # where the callback makes loss and metric itself


def _whole(low: int, high: int | None = None) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise CallbackArgumentError(f"{name} must be a whole number, not {value!r}") from error
        if number < low or (high is not None and number > high):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise CallbackArgumentError(f"{name} must be {bounds}, not {value!r}")
        return number

    return check


def _choice(choices: tuple[str, ...], *, fold: bool) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        chosen = value.lower() if fold and isinstance(value, str) else value
        if chosen not in choices:
            raise CallbackArgumentError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return str(chosen)

    return check


def _kind(*kinds: type) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise CallbackArgumentError(f"{name} must be of type {wanted}, not {type(value).__name__}")
        return value

    return check


def _flag(name: str, value: Any) -> bool:
    if value not in (True, False):  # NumPy's booleans too
        raise CallbackArgumentError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _contract(name: str, value: Any) -> str:
    if value is None:
        raise CallbackArgumentError(f"{name} must be the name of a training; leave it out for the command line's")
    return str(value)


def _any(name: str, value: Any) -> Any:
    return value


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) for one in value):
        raise CallbackArgumentError(f"{name} must be a list of names, not {value!r}")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Known:
    """An argument: our name, its other spellings (the documented one first), its check, and who reads it."""

    name: str
    others: tuple[str, ...]
    check: Callable[[str, Any], Any]
    platforms: tuple[str, ...] = PLATFORMS
    sent: bool = False
    functions: tuple[str, ...] = ()  # platforms where a function may stand in the place of its name


ARGUMENTS: tuple[Known, ...] = (
    Known("sync_frequency", ("syncFrequency",), _whole(1), sent=True),
    Known("min_peers", ("minPeers",), _whole(1), sent=True),
    Known("training_contract", ("trainingContract",), _contract, sent=True),
    Known("use_adaptive_sync", ("useAdaptiveSync",), _flag, sent=True),
    Known("early_stopping", ("earlyStopping",), _whole(0), sent=True),
    Known("val_data", ("adsValData", "ads_val_data"), _any),
    Known("val_batch_size", ("adsValBatchSize", "ads_val_batch_size"), _whole(1)),
    Known("checkin_model_on_train_end", ("checkinModelOnTrainEnd",), _choice(TRAIN_END, fold=False), sent=True),
    Known("node_weightage", ("nodeWeightage",), _whole(1, 100), sent=True),
    Known("merge_method", ("mergeMethod",), _choice(MERGE_METHODS, fold=True), sent=True),
    Known("logger", (), _kind(logging.Logger)),
    Known("total_epochs", ("totalEpochs",), _whole(1), sent=True),
    Known("ml_platform", (), _kind(str)),
    Known("model", (), _any),
    Known("optimizer", (), _any, ("torch", "keras", "huggingface")),
    Known("scheduler", (), _any, ("torch",)),
    Known("parameters", (), _choice(PARAMETERS, fold=False), ("torch", "keras", "huggingface")),
    Known("loss_function", ("lossFunction",), _kind(str), _BUILT),
    Known("loss_function_args", ("lossFunctionArgs",), _kind(dict), _BUILT),
    Known("metric_function", ("metricFunction",), _kind(str), functions=("huggingface",)),
    Known("metric_function_args", ("metricFunctionArgs",), _kind(dict), (*_BUILT, "keras")),
    Known("hf_mode", ("hfMode",), _choice(HF_MODES, fold=False), ("huggingface",)),
    Known("init_data", ("initData",), _any, ("sklearn",)),
    Known("classes", (), _any, ("sklearn",)),
    Known("weight_attrs", ("weightAttrs",), _names, ("sklearn",)),
)
_BY_SPELLING = {spelling: known for known in ARGUMENTS for spelling in (known.name, *known.others)}
_TF1 = ("tf", "sess")


def read_arguments(given: Mapping[str, Any], platform: str) -> dict[str, Any]:
    """The arguments by our names, checked; what was given as None counts as not given, but for the contract.

    Raises CallbackArgumentError on an unknown name (with the nearest known one), a value that does not fit, one
    argument in two spellings, or one that this platform does not have.
    """
    values: dict[str, Any] = {}
    for spelling, value in given.items():
        known = _BY_SPELLING.get(spelling)
        if known is None:
            raise CallbackArgumentError(_unknown(spelling, platform))
        if value is None and known.name != "training_contract":
            continue
        if platform not in known.platforms:
            raise CallbackArgumentError(f"{spelling} is no argument of SwarmCallback for {platform}")
        if known.name in values:
            raise CallbackArgumentError(f"{known.name} is given twice, once as {spelling}")
        function = callable(value) and platform in known.functions
        values[known.name] = value if function else known.check(spelling, value)
    return values


def positional(sync_frequency: int | None, min_peers: int | None, training_contract: str | None) -> dict[str, Any]:
    """Those that may be given without a name, as far as they were; an empty contract was not."""
    given = {"sync_frequency": sync_frequency, "min_peers": min_peers}
    contract = {} if training_contract == "" else {"training_contract": training_contract}
    return {name: value for name, value in given.items() if value is not None} | contract


def _unknown(spelling: str, platform: str) -> str:
    if spelling in _TF1:
        return f"{spelling} belongs to graph mode of TensorFlow 1, which is not supported: use Keras 3"
    names = [name for name, known in _BY_SPELLING.items() if platform in known.platforms]
    near = _nearest(spelling, names)
    hint = f"; did you mean {near}?" if near else f"; known are {', '.join(sorted(names))}"
    return f"SwarmCallback has no argument {spelling!r}{hint}"


def _nearest(spelling: str, names: list[str]) -> str | None:
    """The closest name whatever its case and underscores, in the style of the one that was given."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.replace("_", "").lower(), []).append(name)
    near = difflib.get_close_matches(spelling.replace("_", "").lower(), folded, n=1, cutoff=0.5)
    return min(folded[near[0]], key=lambda name: ("_" in name) != ("_" in spelling)) if near else None


def is_known(spelling: str) -> bool:
    """Whether an argument of any platform has this name."""
    return spelling in _BY_SPELLING or spelling in _TF1


def sent_arguments(values: Mapping[str, Any]) -> dict[str, Argument]:
    """Those of the checked arguments that the node has to know."""
    return {known.name: values[known.name] for known in ARGUMENTS if known.sent and known.name in values}
