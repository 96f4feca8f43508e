"""The artefact cache: what has been built is not built again.

In: a `Recipe` (source text and everything that decides what it becomes) and a function that builds it. Out: the path of the
artefact. Holds: an entry is complete or absent, for any number of processes; a damaged entry is set aside and built again;
nothing is created on disk before the first build.

Layout, below the folder that `LAMINA_CACHE` names (else the platform's user cache folder):
    v1/artefacts/KEY/    source, artefact, key.json (the recipe in clear, the artefact's size and digest), build.log
    v1/failed/KEY/       source, key.json and build.log of a build that failed
    v1/locks/            one lock file for each first byte of a key
    v1/NAMESPACE/        JSON values (see `get_json`)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, TargetError
from ..folders import cache_folder

FORMAT = "v1"
_RESERVED = ("artefacts", "failed", "locks")


class BuildFailure(Exception):
    """Raised by a build function: the tool refused the source. `summary` is one line, `log` the whole of its output."""

    def __init__(self, summary: str, log: str) -> None:
        super().__init__(summary)
        self.summary = summary
        self.log = log


@dataclass(frozen=True)
class Recipe:
    """What decides an artefact. `name` is for people and no part of the key; `settings` are strings, lists of them, or mappings."""

    name: str
    source: str
    source_name: str
    artefact_name: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """SHA-256, in hexadecimal, over the source and every setting."""
        clear = {"format": FORMAT, "source": _sha256(self.source.encode()), "settings": self.settings}
        return _sha256(json.dumps(clear, sort_keys=True, separators=(",", ":")).encode())


@dataclass(frozen=True)
class Entry:
    """One entry of the cache. `state`: "good", "bad" (set aside) or "failed"; `size` in bytes; `created` in seconds since 1970."""

    key: str
    name: str
    state: str
    folder: Path
    size: int
    created: float


# ---------------------------------------------------------------------------------------------- folders


def root() -> Path:
    """The cache's folder, which need not exist."""
    return cache_folder().absolute()


def _home() -> Path:
    return root() / FORMAT


def _private_home() -> Path:
    """The folder that holds everything, made if need be with mode 0700 and refused if others could plant code in it."""
    home = _home()
    try:
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        facts = home.stat()
    except OSError as error:
        raise TargetError(
            f"the cache folder {home} cannot be made: {error.strerror}.\n"
            "  do: set the environment variable LAMINA_CACHE to a folder that you can write to"
        ) from error
    if hasattr(os, "getuid") and (facts.st_uid != os.getuid() or facts.st_mode & 0o022):
        raise TargetError(
            f"the cache folder {home} can be written to by other users, who could place code there that you would run.\n"
            f"  expected: owner {os.getuid()}, mode 0700\n  found: owner {facts.st_uid}, mode {facts.st_mode & 0o777:04o}\n"
            f"  do: chmod 0700 {home}, or set the environment variable LAMINA_CACHE to a folder of your own"
        )
    return home


def _trusted() -> bool:
    """Whether there is a cache folder that nobody else could have planted anything in: what is read from it is run."""
    try:
        facts = _home().stat()
    except OSError:
        return False
    # the superuser's, as in a container's image, is as good as one's own
    return not hasattr(os, "getuid") or (facts.st_uid in (os.getuid(), 0) and not facts.st_mode & 0o022)


def check_writable() -> None:
    """Tries to write to the cache folder, making it if need be. Errors: TargetError, saying what to do."""
    home = _private_home()
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise _unusable(home, error) from error


def _unusable(home: Path, error: OSError) -> TargetError:
    return TargetError(
        f"the cache folder {home} cannot be used: {error}.\n"
        "  do: make room or permit writing there, or set the environment variable LAMINA_CACHE to another folder"
    )


@contextmanager
def _locked(home: Path, key: str) -> Iterator[None]:
    """Holds the lock of every key with the same first byte, so that the number of lock files stays bounded."""
    from filelock import FileLock

    locks = home / "locks"
    locks.mkdir(mode=0o700, exist_ok=True)
    with FileLock(str(locks / f"{key[:2]}.lock"), mode=0o600):
        yield


# ---------------------------------------------------------------------------------------------- artefacts


def obtain(recipe: Recipe, build: Callable[[Path], str]) -> Path:
    """The artefact of `recipe`, built by `build` if it is not there.

    `build` is given a folder that holds the source under its name, leaves the artefact there under its own, and returns its
    log; it raises `BuildFailure` if the source is refused. Errors: TargetError, naming the place of the source and the log.
    """
    key = recipe.key
    folder = _home() / "artefacts" / key
    if _trusted() and _is_whole(folder, recipe.artefact_name):
        return folder / recipe.artefact_name
    home = _private_home()
    try:
        with _locked(home, key):
            # Another process may have built it while this one waited.
            if not _is_whole(folder, recipe.artefact_name):
                _build(home, key, recipe, build)
    except OSError as error:
        raise _unusable(home, error) from error
    return folder / recipe.artefact_name


def _build(home: Path, key: str, recipe: Recipe, build: Callable[[Path], str]) -> None:
    """Builds in a sibling folder and publishes it; the lock is held."""
    artefacts, folder = home / "artefacts", home / "artefacts" / key
    artefacts.mkdir(mode=0o700, exist_ok=True)
    for leftover in artefacts.glob(f"{key}.tmp-*"):  # of a process that was killed; its lock is ours now
        shutil.rmtree(leftover, ignore_errors=True)
    if folder.exists():
        _set_aside(folder)
    workshop = Path(tempfile.mkdtemp(prefix=f"{key}.tmp-", dir=artefacts))
    try:
        (workshop / recipe.source_name).write_text(recipe.source, encoding="utf-8")
        clear: dict[str, Any] = {"key": key, "name": recipe.name, "settings": recipe.settings}
        try:
            log = build(workshop)
        except BuildFailure as failure:
            kept = _keep_failed(home, key, workshop, clear, failure)
            raise TargetError(
                f"building {recipe.name!r} failed: {failure.summary}\n"
                f"  source: {kept / recipe.source_name}\n  log: {kept / 'build.log'}\n"
                "  do: run `lamina doctor`; if it finds the tools in order, report the source and the log as a defect of Lamina"
            ) from failure
        content = (workshop / recipe.artefact_name).read_bytes()
        clear["artefact"] = {"name": recipe.artefact_name, "size": len(content), "sha256": _sha256(content)}
        (workshop / "build.log").write_text(log, encoding="utf-8")
        _write_json(workshop / "key.json", clear)
        os.replace(workshop, folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _keep_failed(home: Path, key: str, workshop: Path, clear: dict[str, Any], failure: BuildFailure) -> Path:
    (workshop / "build.log").write_text(failure.log, encoding="utf-8")
    _write_json(workshop / "key.json", clear)
    failed = home / "failed"
    failed.mkdir(mode=0o700, exist_ok=True)
    kept = failed / key
    shutil.rmtree(kept, ignore_errors=True)
    os.replace(workshop, kept)
    return kept


def _is_whole(folder: Path, artefact_name: str) -> bool:
    """Whether the entry is complete and its artefact is, byte for byte, the one that was built."""
    try:
        recorded = json.loads((folder / "key.json").read_bytes())["artefact"]
        content = (folder / artefact_name).read_bytes()
        return bool(len(content) == recorded["size"] and _sha256(content) == recorded["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _set_aside(folder: Path) -> None:
    """Keeps a damaged entry, under a name that no key has, for whoever wants to know what befell it."""
    bad = folder.with_name(folder.name + ".bad")
    shutil.rmtree(bad, ignore_errors=True)
    os.replace(folder, bad)


# ---------------------------------------------------------------------------------------------- listing


def entries() -> tuple[Entry, ...]:
    """Every entry: good ones first, then those set aside, then failed builds; oldest first in each."""
    found: list[Entry] = []
    for kind in ("artefacts", "failed"):
        parent = _home() / kind
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            match = re.fullmatch(r"([0-9a-f]{64})(\.bad)?", folder.name)
            if match and folder.is_dir():
                state = "failed" if kind == "failed" else "bad" if match[2] else "good"
                created = folder.stat().st_mtime
                found.append(Entry(match[1], _recorded_name(folder), state, folder, _folder_size(folder), created))
    order = ("good", "bad", "failed")
    return tuple(sorted(found, key=lambda entry: (order.index(entry.state), entry.created, entry.key)))


def size() -> int:
    """Bytes in the whole cache, JSON values included."""
    return _folder_size(_home())


def explain(prefix: str) -> tuple[tuple[Entry, dict[str, Any]], ...]:
    """The entries whose key begins with `prefix`, each with its key in clear. Errors: ArgumentError if none or several keys do."""
    matching = [entry for entry in entries() if entry.key.startswith(prefix.lower())]
    keys = sorted({entry.key for entry in matching})
    if not keys:
        raise ArgumentError(f"no entry's key begins with {prefix!r}.\n  do: `lamina cache ls` lists the keys")
    if len(keys) > 1:
        raise ArgumentError(f"{len(keys)} keys begin with {prefix!r}; give more digits:\n  " + "\n  ".join(keys[:10]))
    return tuple((entry, _read_json(entry.folder / "key.json") or {}) for entry in matching)


def clear() -> int:
    """Removes everything in the cache and returns how many bytes that was. Builds under way in other processes are let finish."""
    home = _home()
    freed = size()
    for kind in ("artefacts", "failed"):
        parent = home / kind
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            with _locked(home, folder.name):  # a folder's name begins with its key, whatever its state
                shutil.rmtree(folder, ignore_errors=True)
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        if folder.name not in _RESERVED:
            shutil.rmtree(folder, ignore_errors=True)
    return freed - size()


def _recorded_name(folder: Path) -> str:
    recorded = _read_json(folder / "key.json")
    return str(recorded.get("name", "")) if isinstance(recorded, dict) else ""


def _folder_size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # another process has just removed or renamed it
                continue
    return total


# ---------------------------------------------------------------------------------------------- JSON values


def get_json(namespace: str, key: str) -> Any | None:
    """The value stored under (namespace, key), or None. A damaged one reads as None, as does one that others could have written."""
    path = _value_path(_home(), namespace, key)
    return _read_json(path) if _trusted() else None


def put_json(namespace: str, key: str, value: Any) -> None:
    """Stores a JSON value under (namespace, key), replacing what was there at once and whole; the last writer wins.

    Keys are any text. Errors: TargetError if the cache folder cannot be written to.
    """
    home = _private_home()
    path = _value_path(home, namespace, key)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _write_json(path, value)
    except OSError as error:
        raise _unusable(home, error) from error


def _value_path(home: Path, namespace: str, key: str) -> Path:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", namespace) or namespace in _RESERVED:
        raise ValueError(f"not a namespace: {namespace!r}")
    return home / namespace / f"{_sha256(key.encode())}.json"


def _read_json(path: Path) -> Any | None:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _write_json(path: Path, value: Any) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.tmp-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1, sort_keys=True)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
