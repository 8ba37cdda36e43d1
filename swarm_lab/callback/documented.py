"""Arguments in the style of the existing product: positional first, some names accepted and not used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.logs import default_logger

DEFAULT_CONTRACT = "defaultbb.cqdb.sml.hpe"
UNUSED = ("mlPlatform", "hfMode", "maxPeers")


def documented(
    sync_frequency: Any,
    min_peers: Any,
    training_contract: Any,
    given: Mapping[str, Any],
    unused: tuple[str, ...] = UNUSED,
) -> dict[str, Any]:
    """The arguments for a class of ours; raises CallbackArgumentError where one of the first two is None.

    `unused` are names that programs may give and that change nothing: each is said once in the log.
    """
    for name, value in (("syncFrequency", sync_frequency), ("minPeers", min_peers)):
        if value is None:
            raise CallbackArgumentError(f"{name} must be a whole number, not None")
    logger = given.get("logger")
    for name in unused:
        if name in given:
            (logger if isinstance(logger, logging.Logger) else default_logger()).info(
                "%s=%r is not needed here and not used", name, given[name]
            )
    first = {"syncFrequency": sync_frequency, "minPeers": min_peers, "trainingContract": training_contract}
    return first | {name: value for name, value in given.items() if name not in unused}


def without_judging(given: Mapping[str, Any]) -> dict[str, Any]:
    """PyTorch: validation data that comes with neither loss nor metric is left out, and the log says so."""
    names = {"val_data", "adsValData", "ads_val_data"} & {name for name, value in given.items() if value is not None}
    functions = ("lossFunction", "loss_function", "metricFunction", "metric_function")
    if not names or any(given.get(name) is not None for name in functions):
        return dict(given)
    logger = given.get("logger")
    (logger if isinstance(logger, logging.Logger) else default_logger()).warning(
        "validation data without lossFunction and metricFunction is not used"
    )
    return {name: value for name, value in given.items() if name not in names}
