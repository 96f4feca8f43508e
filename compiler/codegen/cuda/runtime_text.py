"""The runtime headers of an emitted CUDA program, as one text.

In: which headers, beside those that every program has. Out: their text, without include directives of each other. Holds: the scalar
runtime is that of the C++ target; what it needs of a device comes first.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

# folder, name
_HEADERS = (
    ("cuda", "device.hpp"),
    ("cpp", "math_base.hpp"),
    ("cpp", "math_double.hpp"),
    ("cpp", "math_float.hpp"),
    ("cpp", "math_special.hpp"),
    ("cpp", "storage.hpp"),
    ("cpp", "indices.hpp"),
    ("cuda", "division.hpp"),
)


@lru_cache(maxsize=32)
def runtime_text(further: tuple[str, ...]) -> str:
    """The headers every program has, then the `further` ones of templates/cuda."""
    return "".join(_header(folder, name) for folder, name in (*_HEADERS, *(("cuda", name) for name in further)))


def _header(folder: str, name: str) -> str:
    text = resources.files(f"lamina.templates.{folder}").joinpath(name).read_text(encoding="utf-8")
    return re.sub(r'^#include "[^"]*"\n', "", text, flags=re.MULTILINE).replace("#pragma once\n", "")
