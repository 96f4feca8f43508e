"""Where specifications are found: files, texts, and the entries of the layer library.

In: a path, a text, or a name. Out: `Module`s, ready for checking.
Holds: nothing is read from disk before it is asked for; a file is parsed once for each `Workspace`, the prelude once a process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Union

from ..errors import ArgumentError
from ..spans import Span
from . import syntax
from .definitions import Module, check_definitions, collect
from .diagnostics import Failed, Reporter, nearest
from .parse import MAXIMUM_FILE_SIZE, parse, parse_with

_OPS = (__package__ or "").rpartition(".")[0] + ".ops"
_ENTRY = re.compile(r"^[ \t]*(layer|def)[ \t]+([a-z_][A-Za-z0-9_]*)", re.MULTILINE)
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]*\Z")

# Finds the file that holds a used name: (the name, the STRING after `from` or None, the name of the using file) -> its parsed file.
# Raises KeyError with a reason where there is none.
ResolveUse = Callable[[str, Union[str, None], str], syntax.File]


@lru_cache(maxsize=1)
def _prelude_file() -> syntax.File:
    text = resources.files(__package__).joinpath("prelude.lam").read_text(encoding="utf-8")
    return parse(text, "prelude.lam")


@lru_cache(maxsize=1)
def prelude() -> Module:
    """The prelude as a module."""
    reporter = Reporter()
    module = Module(_prelude_file())
    reporter.add_source(module.file.name, module.file.text)
    collect(module, reporter)
    check_definitions(module, reporter)
    reporter.raise_if_any()
    return module


@lru_cache(maxsize=1)
def _library_index() -> dict[str, tuple[str, str]]:
    """Whether an entry of the library is a layer or a def, and its file, by the entry's name. Where a name is found twice, layers
    come before defs, and else the first file in order."""
    found: list[tuple[str, str, str]] = []
    for resource in sorted(resources.files(_OPS).iterdir(), key=lambda item: item.name):
        if resource.name.endswith(".lam"):
            found += [(word, resource.name, name) for word, name in _ENTRY.findall(resource.read_text(encoding="utf-8"))]
    index: dict[str, tuple[str, str]] = {}
    for word, file, name in sorted(found, key=lambda entry: entry[0] != "layer"):
        index.setdefault(name, (word, file))
    return index


def library_layers() -> tuple[str, ...]:
    """The names of the layers of the library, sorted."""
    return tuple(sorted(name for name, (word, _) in _library_index().items() if word == "layer"))


def library_names() -> tuple[str, ...]:
    """The names of all that `use` finds in the library, layers and defs, sorted."""
    return tuple(sorted(_library_index()))


@cache
def _library_file(name: str) -> syntax.File:
    text = resources.files(_OPS).joinpath(name).read_text(encoding="utf-8")
    return parse(text, name)


class Workspace:
    """The modules of one run of the front end, made from files as they are asked for."""

    def __init__(self, reporter: Reporter, resolve_use: ResolveUse | None = None) -> None:
        self._reporter = reporter
        self._resolve_use = resolve_use or self._resolve
        self._modules: dict[str, Module] = {}
        self._open: list[str] = []

    def open(self, spec: str | Path) -> tuple[Module, str | None]:
        """The module of a path, a text or a library entry; for an entry, also its name."""
        if isinstance(spec, str) and spec in library_layers():
            return self.module_of(_library_file(_library_index()[spec][1])), spec
        if isinstance(spec, Path) or _looks_like_path(spec):
            return self.module_of(self._parse_path(Path(spec))), None
        if _NAME.match(spec):
            hint = nearest(spec, library_layers())
            raise ArgumentError(f"no layer `{spec}` in the layer library{f'; {hint}' if hint else ''}; lamina.library() lists them")
        return self.module_of(parse_with(spec, "<text>", self._reporter)), None

    def module_of(self, file: syntax.File) -> Module:
        """The module of a parsed file, its own definitions checked."""
        if file.name in self._modules:
            return self._modules[file.name]
        self._reporter.add_source(file.name, file.text)
        module = Module(file, prelude(), broken=frozenset(file.damaged_names), library_names=library_names)
        self._modules[file.name] = module
        self._open.append(file.name)
        for item in file.items:
            if isinstance(item, syntax.Use):
                self._use(item, module)
        self._open.pop()
        collect(module, self._reporter)
        check_definitions(module, self._reporter)
        return module

    def _use(self, item: syntax.Use, module: Module) -> None:
        for name in item.names:
            try:
                used = self._used_module(name, item, module)
            except Failed:
                module.broken = module.broken | {name.name}
                continue
            if name.name in module.used:
                self._reporter.error("LAM102", f"`{name.name}` is used twice", name.span)
            module.used[name.name] = used

    def _used_module(self, name: syntax.Name, item: syntax.Use, module: Module) -> Module:
        try:
            file = self._resolve_use(name.name, item.source, module.file.name)
        except KeyError as missing:
            reason = str(missing.args[0]) if missing.args else f"no entry `{name.name}`"
            hint = nearest(name.name, library_names()) if item.source is None else None
            raise self._reporter.error("LAM108", reason, name.span, hint=hint) from None
        if file.name in self._open:
            chain = " -> ".join(f"`{step}`" for step in [*self._open[self._open.index(file.name) :], file.name])
            raise self._reporter.error("LAM105", "files use each other in a circle", name.span, "no circle", chain)
        used = self.module_of(file)
        if name.name not in used.own:
            hint = nearest(name.name, used.own)
            raise self._reporter.error("LAM108", f"`{file.name}` has no `{name.name}`", name.span, hint=hint)
        return used

    def _resolve(self, name: str, source: str | None, using: str) -> syntax.File:
        if source is None:
            if name not in _library_index():
                raise KeyError(f"no entry `{name}` in the layer library")
            return _library_file(_library_index()[name][1])
        path = Path(source)
        if not path.is_absolute() and not using.startswith("<"):
            path = Path(using).parent / path
        if not path.is_file():
            raise KeyError(f"no file `{path}`")
        return self._parse_path(path)

    def _parse_path(self, path: Path) -> syntax.File:
        name = str(path)
        if name in self._modules:
            return self._modules[name].file
        start = Span(name, 1, 1, 1, 1)
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as problem:
            raise ArgumentError(f"cannot read `{name}`: {getattr(problem, 'strerror', None) or problem}") from None
        if len(data) > MAXIMUM_FILE_SIZE:
            self._reporter.error("LAM309", "file too large", start, f"at most {MAXIMUM_FILE_SIZE} bytes", str(len(data)))
            return syntax.File(name, (), "")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as problem:
            line = data.count(b"\n", 0, problem.start) + 1
            self._reporter.error("LAM005", "not UTF-8 text", Span(name, line, 1, line, 1), "UTF-8", f"byte {problem.start}")
            return syntax.File(name, (), "")
        return parse_with(text, name, self._reporter)


def _looks_like_path(spec: str) -> bool:
    return spec.endswith(".lam") and "\n" not in spec and "{" not in spec
