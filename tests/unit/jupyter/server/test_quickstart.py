"""The notebook that the panel opens for a newcomer."""

from __future__ import annotations

from swarm_lab.jupyter.server.notebook import to_begin_with


def test_it_is_a_notebook_that_brings_a_swarm_up() -> None:
    made = to_begin_with()
    assert made.name == "welcome.ipynb"
    sources = ["".join(cell["source"]) for cell in made.content["cells"]]
    assert made.content["nbformat"] == 4
    assert any("swarm up" in source for source in sources)
