"""The authorizer of a site whose policy a test changes: a file says what is allowed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_server.auth import Authorizer

POLICY = "SWARM_LAB_TEST_POLICY"


class Changing(Authorizer):  # type: ignore[misc]
    """`none`: nothing of swarms; `read`: look, do not touch; else everything."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        path = Path(os.environ[POLICY])
        policy = path.read_text() if path.exists() else ""
        return resource != "swarm" or policy in ("", action)
