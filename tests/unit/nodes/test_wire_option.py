"""The wire format of a training: what may be asked for is what there is, and it is part of what nodes agree on."""

from typing import get_args

from swarm_lab.front.options import TrainOptions
from swarm_lab.nodes.staging import TrainingRules
from swarm_lab.rounds.wire import WIRES
from swarm_lab.spec import TrainingSpec


def test_whoever_offers_a_format_offers_these() -> None:
    for model in (TrainOptions, TrainingSpec, TrainingRules):
        assert list(get_args(model.model_fields["wire"].annotation)) == list(WIRES)
        assert model.model_fields["wire"].default == "float32"
    assert {name: wire.name for name, wire in WIRES.items()} == {name: name for name in WIRES}


def test_the_format_is_part_of_what_the_ledger_has() -> None:
    rules = TrainingRules(nodes=("sl-1",), sync_frequency=4, min_peers=1, program="0" * 64)
    assert rules.wire == "float32"
    assert rules.digest() != rules.model_copy(update={"wire": "bf16"}).digest()
