"""swarm-lab: swarm learning from Jupyter."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm_lab.callback import SwarmCallback
    from swarm_lab.swarm import Swarm

__version__ = "0.1.0"
__all__ = ["Swarm", "SwarmCallback", "__version__", "load_ipython_extension", "unload_ipython_extension"]

# Looked up on first use: a program that imports the callback loads neither the front door nor a framework.
_HOMES = {"SwarmCallback": "swarm_lab.callback", "Swarm": "swarm_lab.swarm"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext swarm_lab`: registers `%swarm`, `%%swarm` and their completion."""
    import_module("swarm_lab.jupyter.magics").load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext swarm_lab`: takes them away again."""
    import_module("swarm_lab.jupyter.magics").unload_ipython_extension(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Jupyter Server asks for the extension at its start."""
    return [{"module": "swarm_lab", "app": import_module("swarm_lab.jupyter.server.app").SwarmLabApp}]
