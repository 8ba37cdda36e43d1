"""Experiments over swarms: baselines, runs and their tables."""
