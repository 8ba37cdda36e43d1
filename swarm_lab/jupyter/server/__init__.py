"""The server part of the panel: REST, one WebSocket and Jupyter events over the verbs. It owns nothing."""
