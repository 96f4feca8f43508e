"""The road of a layer runs one way: who may import whom, read from the import statements; and what importing Lamina does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILER = ROOT / "compiler"
# `pipeline` is a module: it runs the stages before it, one after the other.
STAGES = ("lang", "ir", "passes", "pipeline", "schedule", "codegen", "report", "runtime", "binding")
WITHOUT_TORCH = STAGES[: STAGES.index("runtime")]
FOUNDATION = ("errors", "folders", "spans")  # single modules that every stage may use and that use none
FILES = sorted(COMPILER.rglob("*.py"))


def package_of(path: Path) -> tuple[str, ...]:
    """The package that the module's relative imports start from: ("lamina", "lang") for compiler/lang/parse.py."""
    return ("lamina", *path.relative_to(COMPILER).parent.parts)


def imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Every dotted name that an import statement anywhere in the module can bind from, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *([node.module] if node.module else [])))
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def violations(source: str, path: Path) -> list[str]:
    """What is wrong with the imports of the module `path` whose text is `source`."""
    package = package_of(path)
    own = package[1] if len(package) > 1 else path.stem
    found = []
    for name, line in imports(ast.parse(source), package):
        parts = name.split(".")
        place = f"{path.relative_to(ROOT)}:{line}"
        if parts[0] == "torch" and own in WITHOUT_TORCH + FOUNDATION:
            found.append(f"{place}: {own} imports torch")
        if parts[0] != "lamina" or len(parts) < 2 or own not in STAGES + FOUNDATION:
            continue
        other = parts[1]
        if other in FOUNDATION or other == own or (other in ("ops", "templates") and own in STAGES):
            continue
        if own in FOUNDATION or other not in STAGES or STAGES.index(other) > STAGES.index(own):
            found.append(f"{place}: {own} imports {other}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_forward_only(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("module", "statement", "wrong"),
    [
        ("ir/build.py", "from ..lang.checked import Axis", False),
        ("lang/parse.py", "from ..ir import graph", True),
        ("lang/parse.py", "from .. import ir", True),
        ("lang/parse.py", "import lamina.ir.graph", True),
        ("lang/deep/parse.py", "from ...passes import fuse", True),
        ("lang/parse.py", "from ..errors import SpecError", False),
        ("lang/parse.py", "from ..cli import main", True),
        ("codegen/cpp.py", "def f():\n    import torch.nn", True),
        ("codegen/cpp.py", "from torch import nn", True),
        ("runtime/native.py", "import torch", False),
        ("runtime/execute.py", "from ..binding import module", True),
        ("errors.py", "from .lang import checked", True),
        ("pipeline.py", "from .passes import fuse", False),
        ("pipeline.py", "from .codegen import cpp", True),
        ("passes/fuse.py", "from ..pipeline import forward_graph", True),
        ("binding/call.py", "from ..pipeline import forward_graph", False),
        ("binding/call.py", "from ..report import Report", False),
        ("codegen/cpp.py", "from ..report import Report", True),
        ("report/plan.py", "from ..binding import module", True),
        ("commands/doctor.py", "from ..binding import module", False),
    ],
)
def test_the_rule_itself(module: str, statement: str, wrong: bool) -> None:
    assert bool(violations(statement, COMPILER / module)) is wrong


def test_every_package_folder_is_packaged() -> None:
    """setuptools is told the packages by name (it cannot find them: the folders are renamed), so the list can fall behind."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = set(re.findall(r'"([\w.]+)"', text.split("packages = [", 1)[1].split("]", 1)[0]))
    present = {
        ".".join((name, *init.parent.relative_to(ROOT / folder).parts))
        for name, folder in (("lamina", "compiler"), ("lamina.ops", "ops"), ("lamina.templates", "templates"))
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == present


def test_every_module_folder_is_a_package() -> None:
    for path in FILES:
        assert (path.parent / "__init__.py").is_file(), f"{path.parent.relative_to(ROOT)} holds modules but no __init__.py"


def test_importing_creates_writes_and_runs_nothing(tmp_path: Path) -> None:
    """Every module of the package is imported under an audit hook, after torch, whose own doings are not ours."""
    code = f"""
    import importlib, os, pkgutil, sys
    import torch, typer
    forbidden = []

    def watch(event, arguments):
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writing or event in ("os.mkdir", "os.rename", "subprocess.Popen", "os.system", "socket.connect"):
            forbidden.append((event, arguments))
        # Looking the cache up would be as wrong as making it.
        if event in ("open", "os.listdir", "os.scandir") and str({str(tmp_path)!r}) in str(arguments[0]):
            forbidden.append((event, arguments))

    sys.addaudithook(watch)
    import lamina
    names = [name for _, name, _ in pkgutil.walk_packages(lamina.__path__, "lamina.") if not name.endswith("__main__")]
    for name in names:
        importlib.import_module(name)
    assert len(names) > 20, names
    assert not forbidden, forbidden
    """
    environment = {
        "HOME": str(tmp_path),
        "LAMINA_CACHE": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": "/nonexistent",
    }
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_front_half_runs_without_torch() -> None:
    """Imported, not only written: none of the modules before the runtime brings torch in through another package."""
    present = [stage for stage in WITHOUT_TORCH if (COMPILER / stage).is_dir() or (COMPILER / f"{stage}.py").is_file()]
    code = f"""
    import importlib, pkgutil, sys
    import lamina
    for stage in {present!r}:
        package = importlib.import_module(f"lamina.{{stage}}")
        for _, name, _ in pkgutil.walk_packages(getattr(package, "__path__", ()), package.__name__ + "."):
            importlib.import_module(name)
    assert "torch" not in sys.modules
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
