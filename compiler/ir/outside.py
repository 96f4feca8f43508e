"""What to say of an index that leaves its dimension.

In: a text that names the read, its extremes, the length. Out: the message, the same from the interpreter and from programs. This
module is copied into standalone packages: it imports nothing.
"""

from __future__ import annotations


def outside_message(text: str, low: int, high: int, length: int) -> str:
    """The whole of what to say of an index that runs from low to high in a dimension of that length."""
    if length == 0:
        return f"{text} indexes a dimension of length 0: expected a length of at least 1, or no index at all"
    return (
        f"{text} runs from {low} to {high}; expected 0..{length - 1}, its length being {length}; or read through zero, wrap, "
        f"clamp or reflect"
    )
