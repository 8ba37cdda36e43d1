"""SPIFFE IDs as this project uses them: `spiffe://<trust domain>/<role>/<node>`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"spiffe://([a-z0-9][a-z0-9._-]{0,200})/([a-z]{1,16})/([a-z0-9][a-z0-9-]{0,62})")


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """Who a node is. `role` is one of license, identity, sn, sl, swci; `node` is the node's name."""

    trust_domain: str
    role: str
    node: str

    @classmethod
    def parse(cls, uri: str) -> SpiffeId:
        """Read a SPIFFE ID; raises `ValueError` for any other form."""
        match = _ID.fullmatch(uri)
        if match is None:
            raise ValueError(f"not a SPIFFE ID of this project: {uri[:120]!r}")
        return cls(*match.groups())

    @property
    def dns_name(self) -> str:
        """The DNS name in the node's SVID: gRPC's clients check a name, never the SPIFFE ID."""
        return f"{self.node}.{self.trust_domain}"

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/{self.role}/{self.node}"
