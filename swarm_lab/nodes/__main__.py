"""`python -m swarm_lab.nodes CONFIG`: runs the main program of the node that the file describes."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from swarm_lab.nodes.config import NodeConfig

# Imported by name, so that a node loads what its kind needs and nothing else.
PROGRAMS = {
    "identity": "identity",
    "license": "license",
    "chain": "chain",
    "sentinel": "sentinel",
    "sn": "network",
    "sl": "learning",
    "seats": "seats",
}


def main(argv: list[str]) -> None:
    """Run one node until it is told to end."""
    config = NodeConfig.read(Path(argv[1]))
    import_module(f"swarm_lab.nodes.{PROGRAMS[config.kind]}").main(config)


if __name__ == "__main__":
    main(sys.argv)
