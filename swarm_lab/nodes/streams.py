"""Tensor streams between SL nodes: TLS 1.3 on sockets of their own, frames into memory that is there already.

A node has one `StreamServer`, which receives, and one `StreamClient` for each peer, which sends: a connection carries
frames one way. Connections stay open between rounds. `frames` has the format, `identity.streams` the check of who is
at the other end.
"""

from __future__ import annotations

from swarm_lab.nodes.frames import Head
from swarm_lab.nodes.stream_client import OnSent, StreamClient
from swarm_lab.nodes.stream_server import Sink, StreamServer

__all__ = ["Head", "OnSent", "Sink", "StreamClient", "StreamServer"]
