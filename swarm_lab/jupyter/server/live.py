"""The WebSocket: facts, states, logs and operations as they come, to each client as fast as it takes them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from pydantic import Field, TypeAdapter, ValidationError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.paths import check_name
from swarm_lab.jupyter.server.base import RESOURCE, SETTING
from swarm_lab.jupyter.server.models import Body
from swarm_lab.jupyter.server.outbox import Message, Outbox

if TYPE_CHECKING:
    from swarm_lab.jupyter.server.lab import Lab


class Watch(Body):
    """Tell me the facts of a swarm."""

    type: Literal["watch"]
    swarm: str
    facts: bool = True


class Unwatch(Body):
    """No more of them."""

    type: Literal["unwatch"]
    swarm: str


class Follow(Body):
    """Tell me the lines of a log from an offset on; without one from its end."""

    type: Literal["follow"]
    swarm: str
    node: str
    start: Annotated[int | None, Field(alias="from", ge=0)] = None


class Unfollow(Body):
    """No more of them."""

    type: Literal["unfollow"]
    swarm: str
    node: str


_ASKED: TypeAdapter[Watch | Unwatch | Follow | Unfollow] = TypeAdapter(
    Annotated[Watch | Unwatch | Follow | Unfollow, Field(discriminator="type")]
)
_MAX_MESSAGE = 16_384


class LiveHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """One client; see `producer.Client`."""

    auth_resource = RESOURCE

    @property
    def lab(self) -> Lab:
        """The parts of the server."""
        lab: Lab = self.settings[SETTING]
        return lab

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Authorize before the upgrade: nothing is told to whom may not read."""
        allowed = await ensure_async(self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE))
        if not allowed:
            raise HTTPError(403)
        await super().get(*args, **kwargs)

    def get_compression_options(self) -> dict[str, Any]:
        """Facts are text that repeats itself."""
        return {"compression_level": 1}

    @property
    def max_message_size(self) -> int:
        """Clients ask little."""
        return _MAX_MESSAGE

    def open(self, *args: Any, **kwargs: Any) -> None:
        """The socket is open."""
        super().open(*args, **kwargs)
        self._outbox = Outbox()
        self._swarms: set[str] = set()
        self._sender = asyncio.get_running_loop().create_task(self._send_all(), name="swarm-lab live")

    def on_close(self) -> None:
        """The client is gone, or the network."""
        self.lab.producer.leave(self)
        self._sender.cancel()
        super().on_close()

    def wants(self, swarm: str) -> bool:
        """See `producer.Client`."""
        return swarm in self._swarms

    def send(self, message: Message) -> None:
        """See `producer.Client`."""
        self._outbox.put(message)

    async def on_message(self, message: str | bytes) -> None:
        """What a client asks for; what is malformed is passed over, as a newer client may ask for more."""
        try:
            asked = _ASKED.validate_json(message)
            check_name(asked.swarm)
        except (ValidationError, SwarmLabError) as error:
            self.log.debug("a message was passed over: %s", error)
            return
        following = self.lab.producer.following
        match asked:
            case Watch():
                self._swarms.add(asked.swarm)
            case Unwatch():
                self._swarms.discard(asked.swarm)
            case Follow():
                following.follow(self, asked.swarm, check_name(asked.node), asked.start)
            case Unfollow():
                following.unfollow(self, asked.swarm, asked.node)

    async def _send_all(self) -> None:
        """Each message once the socket has taken the one before it: what does not fit waits in the bounded queue."""
        try:
            for first in await self.lab.producer.join(self):
                await self.write_message(first.text)
            while True:
                await self.write_message(_text(await self._outbox.take()))
        except WebSocketClosedError:
            return


def _text(found: Message | tuple[str, str]) -> str:
    if isinstance(found, Message):
        return found.text
    what, swarm = found
    return json.dumps({"type": "dropped", "what": what, "swarm": swarm})
