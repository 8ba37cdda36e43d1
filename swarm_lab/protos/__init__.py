"""Schemas of the services between nodes, with their generated code."""
