"""The main programs of the nodes, one module a kind."""
