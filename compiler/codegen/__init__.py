"""From a schedule to C++ source."""

from .program import generate

__all__ = ["generate"]
