"""Makes the Python code of the `.proto` files beside it: `python -m swarm_lab.protos.generate [OUTPUT_FOLDER]`.

Needs grpcio-tools, which only who changes a schema installs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
_LIMIT_S = 120


def generate(output: Path) -> None:
    """Write the code of every schema below `output`, as `swarm_lab/protos/*_pb2*`; output = the root of the sources."""
    root = HERE.parent.parent
    names = sorted(str(path.relative_to(root)) for path in HERE.glob("*.proto"))
    kinds = [f"--{kind}_out={output}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", *kinds, *names]
    subprocess.run(command, check=True, timeout=_LIMIT_S, cwd=root)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent)
