"""What the identity node reads from other nodes' configurations and from its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from swarm_lab.errors import UsageError
from swarm_lab.identity.attest import RefusedError
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.identity import registered, svid_life


def config(root: Path, name: str, kind: str, **more: Any) -> NodeConfig:
    values: dict[str, Any] = {"trust_domain": "demo.swarm", "directory": root / "nodes" / name, **more}
    return NodeConfig(swarm="demo", name=name, kind=kind, swarm_dir=root, run_dir=root, **values)  # type: ignore[arg-type]


def test_a_node_that_was_added_later_is_known(tmp_path: Path) -> None:
    entry = registered(tmp_path, "demo.swarm")
    with pytest.raises(RefusedError, match="no configuration"):
        entry("sl-9")
    config(tmp_path, "sl-9", "sl").write()
    config(tmp_path, "sentinel", "sentinel").write()
    assert entry("sl-9") == SpiffeId("demo.swarm", "sl", "sl-9")
    assert entry("sentinel") == SpiffeId("demo.swarm", "sn", "sentinel")


@pytest.mark.parametrize("kind", ["seats", "chain", "swci"])
def test_kinds_without_identity_get_none(tmp_path: Path, kind: str) -> None:
    config(tmp_path, "x", kind).write()
    with pytest.raises(RefusedError, match="no identity"):
        registered(tmp_path, "demo.swarm")("x")


def test_a_configuration_of_another_node_gives_nothing(tmp_path: Path) -> None:
    config(tmp_path, "sl-2", "sl", directory=tmp_path / "nodes" / "sl-1").write()
    config(tmp_path, "sl-3", "sl", trust_domain="other.swarm").write()
    (tmp_path / "nodes" / "sl-4").mkdir()
    (tmp_path / "nodes" / "sl-4" / "config.json").write_text("{}")
    for name in ("sl-1", "sl-3", "sl-4"):
        with pytest.raises(RefusedError):
            registered(tmp_path, "demo.swarm")(name)


def test_the_life_of_an_svid_is_an_option(tmp_path: Path) -> None:
    assert svid_life(config(tmp_path, "identity", "identity")) == timedelta(hours=1)
    assert svid_life(config(tmp_path, "identity", "identity", options={"svid_ttl": "90"})) == timedelta(seconds=90)
    for wrong in ("0", "-5", "soon", "nan", "1e99"):
        with pytest.raises(UsageError, match="svid_ttl"):
            svid_life(config(tmp_path, "identity", "identity", options={"svid_ttl": wrong}))
