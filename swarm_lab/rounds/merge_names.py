"""Names of the merge methods that the round machine must know something of; the arithmetic is in `merge`."""

from __future__ import annotations

from typing import Final

GLOBAL: Final = frozenset({"geomedian"})
"""Methods with quantities of the whole model: their mergers exchange tables of inner products first."""
