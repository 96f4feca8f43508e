"""Calls of layers by layers."""

from __future__ import annotations

from . import syntax
from .scope import Assembly, Readable, Scope


def check_layer_call(statement: syntax.Let, call: syntax.Call, scope: Scope, assembly: Assembly) -> Readable:
    raise assembly.reporter.error("LAM503", "layer calls are not supported yet", call.span)
