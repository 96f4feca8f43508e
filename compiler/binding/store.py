"""What an earlier process found out about a layer, from the cache.

In: a specification as given to `lamina.compile`. Out: `Store`, or None where what the specification says cannot be told from its
text alone (it uses other files). Holds: the key covers the text, the layer and the sizes asked for, and every source file of the
compiler (its version's too), so that a value found is what this compiler would work out again; a value that is damaged or missing
reads as None; a cache that cannot be written to costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..runtime import cache
from ..schedule.program import Program, Signature

_NAMESPACE = "layers"
_NAME = re.compile(r"[a-z_]\w*\Z", re.ASCII)
# Strings and comments, in which `from` is no keyword.
_ASIDE = re.compile(r'"[^"\n]*"|#[^\n]*')
_FROM = re.compile(r"\bfrom\b")
# What decides interfaces, graphs and programs; and of the libraries that take part, the file that names the version.
_PARTS = ("lang", "ir", "passes", "schedule", "codegen", "binding", "templates", "ops")
_LIBRARIES = (("sympy", "release.py"), ("networkx", "__init__.py"), ("lark", "__init__.py"), ("jinja2", "__init__.py"))


@dataclass(frozen=True)
class Store:
    """The values kept for one layer, each under its own name: writing one never touches another."""

    key: str

    def get(self, *name: Any) -> Any | None:
        """The value kept under a name, or None."""
        found = cache.get_json(_NAMESPACE, self._key(name))
        # whole and unchanged: what is read here is run
        if isinstance(found, list) and len(found) == 2 and all(isinstance(part, str) for part in found):
            digest, text = found
            if digest == _digest(text):
                return json.loads(text)
        return None

    def put(self, value: Any, *name: Any) -> None:
        """Keeps a JSON value under a name."""
        text = json.dumps(value)
        with contextlib.suppress(TargetError):
            cache.put_json(_NAMESPACE, self._key(name), [_digest(text), text])

    def _key(self, name: tuple[Any, ...]) -> str:
        return json.dumps([self.key, *name])

    def program(self, path: str, signature: Signature, target: str) -> Program | None:
        """The program of a function for a signature and a target."""
        found = self.get("program", target, path, signature.to_json())
        return None if found is None else Program.from_json(found)

    def put_program(self, path: str, signature: Signature, program: Program) -> None:
        self.put(program.to_json(), "program", program.target, path, signature.to_json())


def store_of(spec: str | Path, layer: str | None, sizes: Mapping[str, int]) -> Store | None:
    """The store of a layer; see `lamina.compile` for the arguments, which need not be valid."""
    contents = _contents(spec)
    digest = compiler_digest()
    if (
        digest is None
        or contents is None
        or not isinstance(layer, str | None)
        or not all(type(value) is int for value in sizes.values())
    ):
        return None
    asked = [digest, type(spec) is str, str(spec), contents, layer, list(sizes.items())]
    return Store(_digest(json.dumps(asked)))


def _contents(spec: str | Path) -> str | None:
    """All that decides what the specification says, beside the layer library; None where it lies in several files or nowhere."""
    if isinstance(spec, str) and _NAME.match(spec):
        return ""
    if isinstance(spec, str) and "{" in spec:
        text = spec
    else:
        try:
            text = Path(spec).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
    return None if _FROM.search(_ASIDE.sub('""', text)) else text


@lru_cache(maxsize=1)
def compiler_digest() -> str | None:
    """SHA-256 of the compiler's own sources, and of the versions of the libraries that it computes with; None where the sources are
    no files (a package imported from an archive)."""
    digest = hashlib.sha256()
    package = (__package__ or "").rpartition(".")[0]
    for part in (*_PARTS, "pipeline"):
        files = _files(f"{package}.{part}")
        if not files:
            return None
        for name, file in files:
            content = file.read_bytes()
            digest.update(f"{part}/{name}\0{len(content)}\0".encode())
            digest.update(content)
    for library, name in _LIBRARIES:
        found = importlib.util.find_spec(library)
        if found is not None and found.origin is not None:
            facts = Path(found.origin).with_name(name).stat()
            digest.update(f"{library} {facts.st_size} {facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _files(module: str) -> list[tuple[str, Path]]:
    """The files of a module or a package, sorted, with their names within it; of the packages below it too."""
    found = importlib.util.find_spec(module)
    assert found is not None
    if not found.submodule_search_locations:
        file = Path(found.origin or "")
        return [(file.name, file)] if file.is_file() else []
    folder = Path(found.submodule_search_locations[0])
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted((file.relative_to(folder).as_posix(), file) for file in files)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
