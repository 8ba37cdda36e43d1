"""Experiments over swarms: data with label skew, baselines, scores, and the demo."""
