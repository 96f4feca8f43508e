"""The command line: `lamina COMMAND`.

In: arguments. Out: text on standard output, messages on standard error, an exit code: 0 good, 1 the user's error, 2 usage, 3
toolchain or device. Holds: a Lamina error is printed as its text, without a traceback; that a specification uses what cannot be
compiled is the user's error, not the toolchain's. The commands are the modules of `commands/` that define `register`.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Annotated

import typer

from . import commands
from .errors import Error, TargetError


def application() -> typer.Typer:
    """The typer application with every command."""
    app = typer.Typer(
        name="lamina",
        help="A compiler for neural-network layers: index notation in, fused forward and backward kernels out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name in sorted(module.name for module in pkgutil.iter_modules(commands.__path__)):
        module = importlib.import_module(f".commands.{name}", __package__)
        if hasattr(module, "register"):
            module.register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"lamina {importlib.metadata.version('lamina')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and leaves by SystemExit. `arguments` are those after the program's name; by default the process's."""
    try:
        application()(arguments, prog_name="lamina")
    except TargetError as error:
        _fail(error, 1 if _about_specification(error) else 3)
    except Error as error:
        _fail(error, 1)


def _about_specification(error: TargetError) -> bool:
    """Whether the error comes from a feature that has no derivative or cannot be compiled yet."""
    from .passes.autodiff import NotDifferentiable
    from .schedule.partition import NotLowered

    return isinstance(error.__cause__, NotDifferentiable | NotLowered)


def _fail(error: Error, code: int) -> None:
    sys.stdout.flush()
    print(error, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
