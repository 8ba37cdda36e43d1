"""Imports point one way: from the faces (notebook, shell) to the front door, to nodes, to rounds, ledger, identity."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "swarm_lab"

# From the bottom up: a module may import from its own layer and from those before it.
LAYERS = (
    {"__version__", "callback", "protos"},
    {"errors"},
    {"nodes.config", "identity.ids"},  # plain data that everybody knows
    {"facts", "rounds"},
    {"identity", "ledger"},
    {"licensing"},
    {"spec", "provision"},
    {"nodes"},
    {"front"},
    {"swarm"},
    {"verbs"},
    {"cli"},
    {"jupyter", "experiments"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

# Written as a user would: from the package's top level.
USERS = ("__init__", "experiments.programs")
JUPYTER = {"IPython", "ipykernel", "ipywidgets", "anywidget", "jupyter_client", "jupyter_server", "traitlets"}
FRAMEWORKS = {"torch", "torchmetrics", "tensorflow", "keras"}
IN_A_CONTAINER = ("callback", "rounds", "ledger", "identity")


def imports() -> Iterator[tuple[str, str]]:
    """(importing module, imported module), both without the leading `swarm_lab.`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield name, alias.name
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    yield name, f"{node.module}.{alias.name}"


def layer_of(module: str) -> str:
    parts = module.split(".")
    pair = ".".join(parts[:2])
    return pair if pair in RANK else parts[0]


def test_imports_point_one_way() -> None:
    wrong = []
    for importer, imported in imports():
        here = layer_of(importer)
        if not imported.startswith("swarm_lab.") or importer.startswith(USERS):
            continue
        there = layer_of(imported.removeprefix("swarm_lab."))
        only_codes = here == "callback" and there == "errors"
        if here == there or (RANK[there] <= RANK[here] and not only_codes):
            continue
        wrong.append(f"{importer} imports {imported}")
    assert wrong == []


def test_every_module_has_its_layer() -> None:
    assert {layer_of(importer) for importer, _imported in imports()} <= set(RANK) | {"__init__"}


def test_a_program_imports_only_the_callback() -> None:
    """What the user's process loads has nothing of the node in it: no key, no address, no ledger."""
    foreign = {
        f"{importer} imports {imported}"
        for importer, imported in imports()
        if importer.startswith("callback.")
        and imported.startswith("swarm_lab.")
        and not imported.startswith(("swarm_lab.callback", "swarm_lab.__version__"))
    }
    assert foreign == set()


def test_only_the_notebook_face_imports_jupyter() -> None:
    found = {
        f"{importer} imports {imported}"
        for importer, imported in imports()
        if imported.split(".")[0] in JUPYTER and layer_of(importer) != "jupyter"
    }
    assert found == set()


def test_a_framework_is_imported_where_it_is_used() -> None:
    """Nodes load no framework; of the callback only the module for that framework does."""
    for importer, imported in imports():
        framework = imported.split(".")[0]
        if framework in FRAMEWORKS and importer.split(".")[0] in IN_A_CONTAINER:
            assert importer.startswith(("callback.torch", "callback.keras")), f"{importer} imports {imported}"
