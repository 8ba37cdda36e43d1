"""What all handlers share: the lab, bodies as models, answers as JSON, failures by `failures`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from tornado.web import HTTPError

from swarm_lab.errors import NotAllowed, SwarmLabError, UsageError
from swarm_lab.jupyter.server.failures import failure, of_validation, status_of_error

if TYPE_CHECKING:
    from swarm_lab.jupyter.server.lab import Lab

RESOURCE = "swarm"
"""What an authorizer is asked about; the actions are `read`, `write` and `execute`."""
SETTING = "swarm_lab"

Model = TypeVar("Model", bound=BaseModel)


class SwarmHandler(APIHandler):
    """No verb is here: each leaf has its own, authenticated and authorized by name."""

    auth_resource = RESOURCE

    @property
    def lab(self) -> Lab:
        """The parts of the server."""
        lab: Lab = self.settings[SETTING]
        return lab

    @property
    def who(self) -> str:
        """Who calls, for others to read; nothing for one without a name of their own."""
        name = str(getattr(self.current_user, "display_name", "") or "")
        return "" if name.startswith("Anonymous") else name

    def read_body(self, model: type[Model]) -> Model:
        """The body as its model; raises `UsageError`."""
        try:
            found = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise UsageError(f"the body is not JSON: {error}", next_step="send a JSON object") from error
        return self.checked(model, found)

    def checked(self, model: type[Model], values: Any) -> Model:
        """Values as a model; raises `UsageError`."""
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise of_validation(error) from error

    def argument(self, name: str) -> str:
        """An argument of the address that must be there; raises `UsageError`."""
        text = self.get_query_argument(name, "")
        if not text:
            raise UsageError(f"{name} is missing", next_step=f"add ?{name}=... to the address")
        return text

    def number(self, name: str, default: int | None = None) -> int | None:
        """An argument of the address that is a number from 0 on; raises `UsageError`."""
        text = self.get_query_argument(name, "")
        if not text:
            return default
        if not text.isdecimal() or len(text) > 18:
            raise UsageError(f"{name} is a number from 0 on, not {text[:40]!r}", next_step="correct the address")
        return int(text)

    def place(self, path: Path | None) -> Path | None:
        """A path as the front end knows it: relative to where the server's files are."""
        return None if path is None else Path(self.serverapp.root_dir if self.serverapp else "") / path.expanduser()

    def give(self, answer: Any, status: int = 200) -> None:
        """Answer with a model, or with what JSON knows."""
        self.set_status(status)
        self.finish(to_json(answer, inf_nan_mode="null"))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Failures of ours with code, next step and their own status; others as Jupyter has them."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        if status_code == 403 and self.current_user is not None:
            # A stranger gets Jupyter's own answer, from which the front end knows that the login has ended.
            error = NotAllowed(str(getattr(error, "log_message", None) or "this is not allowed"))
        elif error is not None and not isinstance(error, SwarmLabError | HTTPError):
            error = SwarmLabError(f"{type(error).__name__}: {error}")  # its traceback is in the server's log
        if not isinstance(error, SwarmLabError):
            super().write_error(status_code, **kwargs)
            return
        self.set_header("Content-Type", "application/json")
        self.give(failure(error, self.path_kwargs.get("swarm")), status_of_error(error))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A failure that is told to the caller needs no traceback."""
        if isinstance(value, SwarmLabError):
            self.log.info("%s: %s", value.code, value.message)
        else:
            super().log_exception(typ, value, tb)
