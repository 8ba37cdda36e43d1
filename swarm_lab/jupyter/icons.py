"""Icons of states and kinds of node, as inline SVG; a state is always its icon and its word together."""

from __future__ import annotations

from html import escape
from typing import NamedTuple


class Look(NamedTuple):
    """How a state looks: its word, the drawing, and the class that colours the drawing (never the word)."""

    word: str
    icon: str
    colour: str


_HEX = "M8 1.5 13.6 4.75v6.5L8 14.5 2.4 11.25v-6.5z"

# 16 x 16, drawn in the current colour; `f` is filled, `x` is cut out of what is filled.
_DRAWINGS = {
    "license": '<path d="M1.8 4.5h12.4v2a1.5 1.5 0 0 0 0 3v2H1.8v-2a1.5 1.5 0 0 0 0-3z"/>'
    '<path d="M9.6 5.6v1m0 1.2v1m0 1.1v1"/>',
    "identity": '<path d="M8 1.6 13.2 3.5v4.2c0 3.2-2.2 5.4-5.2 6.7-3-1.3-5.2-3.5-5.2-6.7V3.5z"/>'
    '<circle cx="8" cy="6.6" r="1.4"/><path d="M8 8v2.6"/>',
    "sentinel": f'<path d="{_HEX}"/><circle class="f" cx="8" cy="8" r="2.4"/>',
    "sn": f'<path d="{_HEX}"/>',
    "sl": '<circle cx="8" cy="8" r="6.2"/><path d="M4.6 5.2c.5 3.4 2 5.2 6.8 5.4"/>',
    "chain": '<rect x="1.8" y="5.4" width="6" height="5.2" rx="1.2"/><path d="M7.8 8h.4"/>'
    '<rect x="8.2" y="5.4" width="6" height="5.2" rx="1.2"/>',
    "ready": '<circle cx="8" cy="8" r="6.2"/><path d="m5.2 8.2 2 2 3.6-4.2"/>',
    "training": '<circle class="f" cx="8" cy="8" r="7"/><path class="x" fill="none" d="M6.6 5.2v5.6L11 8z"/>',
    "waiting": '<path d="M4 2h8M4 14h8M4.8 2c0 3.5 1.4 4.4 3.2 6-1.8 1.6-3.2 2.5-3.2 6'
    'M11.2 2c0 3.5-1.4 4.4-3.2 6 1.8 1.6 3.2 2.5 3.2 6"/>',
    "exchanging": '<path d="M2 5.2h11m-3-3 3 3-3 3M14 10.6H3m3-3-3 3 3 3"/>',
    "committed": '<rect x="2" y="2" width="12" height="12" rx="2"/><path d="m5 8.2 2 2 4-4.4"/>',
    "starting": '<circle cx="8" cy="8" r="6.2" stroke-dasharray="3 2.6"/>',
    "lost": '<circle class="f" cx="8" cy="8" r="7"/><path class="x" d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2"/>',
    "failed": '<path d="M5.2 1.6h5.6l3.6 3.6v5.6l-3.6 3.6H5.2l-3.6-3.6V5.2z"/><path d="M8 4.8v3.8m0 2.4v.1"/>',
    "stopped": '<rect class="f" x="3" y="3" width="10" height="10" rx="1.5"/>',
    "finished": '<path d="M3.6 14.4V2h8.8l-1.8 3.2 1.8 3.2H3.6"/>',
    "warn": '<path d="M8 2 15 13.8H1z"/><path d="M8 6.4v3.4m0 2v.1"/>',
    "dropped": '<circle cx="8" cy="8" r="6.2"/><path d="M5 8h6"/>',
}

STATES = {
    "ready": Look("Ready", "ready", "ok"),
    "running": Look("Running", "training", "busy"),
    "training": Look("Training", "training", "busy"),
    "waiting": Look("Waiting", "waiting", "idle"),
    "queued": Look("Queued", "waiting", "idle"),
    "exchanging": Look("Exchanging", "exchanging", "exchange"),
    "checked-in": Look("Checked in", "committed", "idle"),
    "committed": Look("Committed", "committed", "ok"),
    "starting": Look("Starting", "starting", "busy"),
    "degraded": Look("Degraded", "warn", "warn"),
    "lost": Look("Lost", "lost", "bad"),
    "failed": Look("Failed", "failed", "bad"),
    "stopped": Look("Stopped", "stopped", "idle"),
    "finished": Look("Finished", "finished", "ok"),
    "dropped": Look("Dropped", "dropped", "bad"),
}


def icon(name: str, colour: str = "") -> str:
    """One drawing; its meaning must stand beside it in words."""
    shade = f" is-{colour}" if colour else ""
    return f'<svg class="swl-Icon{shade}" viewBox="0 0 16 16" aria-hidden="true">{_DRAWINGS.get(name, "")}</svg>'


def look(state: str) -> Look:
    """How a state looks; one without a drawing of its own keeps its word."""
    return STATES.get(state, Look(state.capitalize(), "starting", "idle"))


def state_html(state: str) -> str:
    """Icon and word of a state."""
    word, drawing, colour = look(state)
    return f'<span class="swl-State">{icon(drawing, colour)}{escape(word)}</span>'
