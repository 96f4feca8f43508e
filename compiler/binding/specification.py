"""The layer library's contents.

In: nothing. Out: names. Holds: the files are read at the first call, once a process.
"""

from __future__ import annotations

from functools import lru_cache


def library() -> tuple[str, ...]:
    """The names of the layers of the library, sorted; `lamina.compile` takes any of them."""
    return _names()


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    import re
    from importlib import resources

    root = (__package__ or "lamina.binding").rpartition(".")[0]
    found: set[str] = set()
    for resource in resources.files(f"{root}.ops").iterdir():
        if resource.name.endswith(".lam"):
            found.update(re.findall(r"^[ \t]*layer[ \t]+([a-z_]\w*)", resource.read_text(encoding="utf-8"), re.MULTILINE))
    return tuple(sorted(found))
