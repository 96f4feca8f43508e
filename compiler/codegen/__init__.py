"""From a schedule to source: what all targets share (accesses, loops, names, lengths), and a folder for each target."""

from .cpp.program import generate

__all__ = ["generate"]
