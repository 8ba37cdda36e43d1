"""What a program and the command line ask for, brought together: the program's own arguments win."""

from __future__ import annotations

import logging

from swarm_lab.callback.messages import Argument, Hello
from swarm_lab.errors import NotOffered, PlatformMixed
from swarm_lab.ledger.records import Terms
from swarm_lab.nodes.staging import StageRequest
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.merge import METHODS

log = logging.getLogger(__name__)


def merged_arguments(request: StageRequest, hello: Hello) -> dict[str, Argument]:
    """The values that hold on this node, by the callback's names."""
    rules = request.rules
    asked: dict[str, Argument] = {
        "sync_frequency": rules.sync_frequency,
        "min_peers": rules.min_peers,
        "merge_method": rules.merge,
        "use_adaptive_sync": rules.adaptive_sync,
        "early_stopping": rules.early_stopping,
        "node_weightage": request.node_weight,
        "checkin_model_on_train_end": request.train_end,
    }
    for name, value in asked.items():
        given = hello.arguments.get(name)
        if given is not None and given != value:
            log.info("the program's %s=%s wins over the command line's %s", name, given, value)
    return asked | {name: value for name, value in hello.arguments.items() if value is not None}


def asked_terms(request: StageRequest, hello: Hello, layout: Layout) -> Terms:
    """What this node registers under; raises `NotOffered` and `PlatformMixed` for what cannot be."""
    arguments = merged_arguments(request, hello)
    merge = str(arguments["merge_method"])
    if merge not in METHODS:
        raise NotOffered(f"the merge method {merge!r} is not offered by this version")
    if hello.platform != request.rules.platform:
        raise PlatformMixed(
            f"this program is a {hello.platform} program; the swarm was brought up for {request.rules.platform}"
        )
    return Terms(
        platform=hello.platform,
        min_peers=int(arguments["min_peers"] or 1),
        sync_frequency=int(arguments["sync_frequency"] or 1),
        merge_method=merge,
        end_rule=request.rules.end_rule,
        model=layout.digest.hex(),
        adaptive=bool(arguments["use_adaptive_sync"]),
        early_stopping=int(arguments["early_stopping"] or 0),
    )
