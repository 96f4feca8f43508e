"""The identity of a graph.

In: a graph. Out: a SHA-256 in hexadecimal.

What holds: the same on every run and machine; graphs that compute the same nodes from the same tensors share it, whatever names
their author gave to intermediate values and wherever in the text they stand.
"""

from __future__ import annotations

import hashlib

from .graph import Graph
from .text import to_text


def fingerprint(graph: Graph) -> str:
    """64 hexadecimal digits: the SHA-256 of the graph's text without names and places of nodes."""
    return hashlib.sha256(to_text(graph, provenance=False).encode()).hexdigest()
