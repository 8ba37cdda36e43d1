"""The small node for these tests."""

from support.small_node import averager, launch

__all__ = ["averager", "launch"]
