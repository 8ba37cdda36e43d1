"""Which framework a swarm is of: the one asked for, else PyTorch, Keras, scikit-learn, whichever is there first."""

from __future__ import annotations

import importlib.util

import pytest

from swarm_lab.callback.messages import Hello, TensorSpec
from swarm_lab.errors import NoFramework, PlatformMixed
from swarm_lab.front import launch
from swarm_lab.front.options import UpOptions
from swarm_lab.nodes.agreement import asked_terms
from swarm_lab.nodes.staging import PROTOCOL, StagedFile, StageRequest, TrainingRules
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.layout import TensorSpec as Spec


@pytest.fixture
def installed(monkeypatch):
    """installed("keras", ...): no other framework is there."""

    def only(*packages):
        found = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *more: (name in packages or None) if name in launch._PACKAGES.values() else found(name, *more),
        )

    return only


@pytest.mark.parametrize(
    ("packages", "framework"),
    [(("torch", "keras", "sklearn"), "torch"), (("keras", "sklearn"), "keras"), (("sklearn",), "sklearn")],
)
def test_the_default_is_the_first_that_is_installed(installed, packages, framework):
    installed(*packages)
    assert launch.installed_framework() == framework


def test_without_any_and_without_the_one_asked_for(installed):
    installed()
    with pytest.raises(NoFramework, match="none of torch, keras and scikit-learn"):
        launch.installed_framework()
    with pytest.raises(NoFramework) as refused:
        launch._check_framework("sklearn")
    assert "swarm-lab[sklearn]" in refused.value.next_step


def test_up_takes_the_three():
    assert UpOptions(framework="sklearn").framework == "sklearn"
    with pytest.raises(ValueError, match="'torch', 'keras' or 'sklearn'"):
        UpOptions(framework="jax")


def _request(platform: str) -> StageRequest:
    rules = TrainingRules(nodes=("sl-1",), sync_frequency=4, min_peers=1, platform=platform, program="0" * 64)
    return StageRequest(
        protocol=PROTOCOL, package="0", training="t-abcdef", rules=rules, program="p.py", data_dir="/",
        files=(StagedFile(path="p.py", size=1),),
    )  # fmt: skip


@pytest.mark.conformance("CB-46", "CB-76")
def test_a_network_has_one_platform_and_scikit_learn_is_one():
    layout = Layout.of([Spec("coef_", "F64", (3,))])
    hello = Hello(2, "0", "sklearn", 1, {}, (TensorSpec("coef_", "F64", (3,)),))
    assert asked_terms(_request("sklearn"), hello, layout).platform == "sklearn"
    with pytest.raises(PlatformMixed, match="sklearn program; the swarm was brought up for torch"):
        asked_terms(_request("torch"), hello, layout)
