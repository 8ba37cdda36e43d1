"""Descriptions of swarms and trainings, plans made from them, and the limits between them."""

from pathlib import Path
from typing import Any

import pytest

from swarm_lab.errors import BadSpec, NoSuchNode, OtherVersion, PortTaken, UsageError
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import NodeFacts, SwarmFacts, natural, read_swarm
from swarm_lab.front.start import prepare
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.provision import plan as planning
from swarm_lab.provision import ports
from swarm_lab.spec import SwarmSpec, TrainingSpec, checked, read_env, read_spec


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SwarmFacts:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(ports, "is_free", lambda port, host="127.0.0.1": port != 8545)
    return planning.plan(
        SwarmPaths.of("demo"), sl=3, sn=2, framework="torch", cold=False, options={"svid_ttl": "60"}, now=1.0
    )


def test_plan_takes_defaults_where_free(facts: SwarmFacts) -> None:
    assert facts.ports["license"] == "127.0.0.1:5814"
    assert facts.network["sentinel"] == "127.0.0.1:30304"
    assert 30400 <= int(facts.network["sn-2"].rpartition(":")[2]) < 32700
    assert facts.ports["sl-1"] == "127.0.0.1:30305"
    assert facts.ports["chain"] != "127.0.0.1:8545"
    assert facts.seats == ["sl-1", "sl-2", "sl-3"]
    assert len(set(facts.ports.values())) == len(facts.ports)


def test_second_swarm_leaves_the_ports_of_the_first(facts: SwarmFacts) -> None:
    facts.write(SwarmPaths.of("demo"))
    other = planning.plan(SwarmPaths.of("two"), sl=2, sn=1, framework="torch", cold=True, options={}, now=2.0)
    assert not set(other.ports.values()) & set(facts.ports.values())
    assert other.named("seats") is None


def test_facts_survive_the_disk_and_configs_hold_all(facts: SwarmFacts) -> None:
    paths = SwarmPaths.of("demo")
    facts.write(paths)
    assert read_swarm(paths) == facts
    node = facts.named("sl-2")
    assert node is not None
    config = planning.config_of(facts, node, paths)
    assert str(config.spiffe_id) == "spiffe://demo.swarm/sl/sl-2"
    assert config.options == {"svid_ttl": "60", "cold": "0"}
    assert NodeConfig.read(config.write()) == config


def test_other_version_is_named(facts: SwarmFacts) -> None:
    paths = SwarmPaths.of("demo")
    facts.write(paths)
    paths.swarm.write_text(paths.swarm.read_text().replace('"version": 1', '"version": 7'))
    with pytest.raises(OtherVersion, match="version 7"):
        read_swarm(paths)


def test_more_seats_are_numbered_on(facts: SwarmFacts) -> None:
    assert [node.name for node in planning.more_seats(facts, 2)] == ["sl-4", "sl-5"]


def test_names_sort_as_people_count() -> None:
    assert sorted(["sl-10", "sl-2", "sl-1"], key=natural) == ["sl-1", "sl-2", "sl-10"]


def test_taken_port_names_node_and_holder() -> None:
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        assert not ports.is_free(port)
        with pytest.raises(PortTaken, match=rf"port {port} of chain is held by .*pid \d+"):
            ports.check_free({"chain": f"127.0.0.1:{port}"})


def test_yaml_describes_a_swarm(tmp_path: Path) -> None:
    path = tmp_path / "swarm.yaml"
    path.write_text("name: hospital\nsl: 3\nframework: keras\nsvid_ttl: 600\n")
    spec = read_spec(path)
    assert (spec.name, spec.sl, spec.sn, spec.framework) == ("hospital", 3, 2, "keras")
    assert spec.node_options == {"svid_ttl": "600"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sl: none", "sl:"),
        ("seats: 3", "seats: Extra"),
        ("- a", "not a mapping"),
        ("a: [", "not YAML"),
        ("version: 2", "version:"),
        ("name: Big", "cannot name"),
    ],
)
def test_yaml_that_does_not(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "swarm.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_spec(path)


def test_missing_yaml() -> None:
    with pytest.raises(BadSpec, match="cannot be read"):
        read_spec(Path("/nowhere/x.yaml"))


@pytest.mark.parametrize(("seats", "peers"), [(1, 1), (2, 2), (3, 2), (4, 3), (8, 5)])
def test_min_peers_is_a_majority(seats: int, peers: int) -> None:
    assert TrainingSpec(program=Path("p.py")).peers(seats) == peers


def test_min_peers_above_the_seats() -> None:
    with pytest.raises(UsageError, match="--min-peers 5 is more than the 4 seats"):
        TrainingSpec(program=Path("p.py"), min_peers=5).peers(4)


def test_unknown_merge_names_the_known() -> None:
    with pytest.raises(UsageError) as caught:
        TrainingSpec(program=Path("p.py"), merge="median").check_merge()
    assert "mean" in caught.value.next_step


def test_unknown_wire_names_the_known() -> None:
    with pytest.raises(BadSpec, match=r"wire.*'float32', 'bf16' or 'fp16'"):
        checked(TrainingSpec, {"program": "p.py", "wire": "int8"}, "train")


@pytest.mark.parametrize("field", ["sync", "min_peers"])
def test_zero_is_refused(field: str) -> None:
    with pytest.raises(BadSpec, match=field):
        checked(TrainingSpec, {"program": "p.py", field: 0}, "train")


def test_environment_pairs() -> None:
    assert read_env(("A=1", "B=x=y", "C=")) == {"A": "1", "B": "x=y", "C": ""}
    for bad in ("A", "=1", "1A=2", "DATA_DIR=/x", "SWARM_LINK=x"):
        with pytest.raises(UsageError):
            read_env((bad,))


def test_prepared_training_has_rules_and_requests(facts: SwarmFacts, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("import os")
    for seat in facts.seats:
        (tmp_path / "parts" / seat).mkdir(parents=True)
    spec = TrainingSpec(
        program=tmp_path / "p.py", data=tmp_path / "parts", seed=7, wire="fp16", args=("a",), env={"K": "v"}
    )
    prepared = prepare(facts, spec)
    assert prepared.rules.min_peers == 2 and prepared.rules.wire == "fp16"
    assert prepared.rules.program == prepared.bundle.digest
    request = prepared.request("sl-2")
    assert (request.arguments, request.environment) == (("a",), {"K": "v"})
    assert request.data_dir == str(tmp_path / "parts" / "sl-2")
    assert len(prepared.payload) == sum(file.size for file in request.files)
    with pytest.raises(NoSuchNode, match="sl-9"):
        prepare(facts, spec.model_copy(update={"nodes": ("sl-9",)}))


def test_facts_find_nodes_by_name() -> None:
    node = NodeFacts(name="sl-1", kind="sl")
    assert node.host == "local"


def test_a_node_has_the_host_that_the_spec_gives_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    given = {"sl-1": {"address": "10.0.0.1", "netns": "h1"}, "license": {"address": "10.0.0.254"}}
    spec = checked(SwarmSpec, {"hosts": given}, "x.yaml")
    spec.write(tmp_path / "spec.yaml")
    assert read_spec(tmp_path / "spec.yaml") == spec
    options: dict[str, Any] = {"sl": 2, "sn": 1, "framework": "torch", "cold": True, "options": {}, "now": 1.0}
    facts = planning.plan(SwarmPaths.of("demo"), hosts=spec.hosts, **options)
    placed = {node.name: (node.address.partition(":")[0], node.host) for node in facts.nodes}
    assert placed["sl-1"] == ("10.0.0.1", "h1") and placed["license"] == ("10.0.0.254", "local")
    assert placed["sl-2"] == placed["chain"] == ("127.0.0.1", "local")
    for wrong in ("sl-3", "chain", "identity"):
        with pytest.raises(BadSpec, match=wrong):
            planning.plan(SwarmPaths.of("demo"), hosts={wrong: spec.hosts["sl-1"]}, **options)
    with pytest.raises(BadSpec, match="netns"):
        checked(SwarmSpec, {"hosts": {"sl-1": {"address": "10.0.0.1", "netns": "../x"}}}, "x.yaml")
    with pytest.raises(BadSpec, match=r"203\.0\.113\.7"):
        ports.check_free({"sl-1": "203.0.113.7:30305"})
