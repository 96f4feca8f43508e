"""Programs and the shapes of their arguments, for people.

In: `Argument`s, whose dimensions are Python expressions over `n` and `threads`. Out: texts such as `8*C`. Holds: what needs no
length is worked out.
"""

from __future__ import annotations

import ast
from typing import Any

from .program import Argument, Program

_BUILTINS: dict[str, Any] = {"__builtins__": {}, "max": max, "min": min, "abs": abs, "int": int}
_COMPUTED = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call)


def shape_texts(argument: Argument) -> tuple[str, ...]:
    """Each stored dimension, lengths by their names."""
    return tuple(ast.unparse(_Readable().visit(ast.parse(text, mode="eval"))).replace(" * ", "*") for text in argument.shape)


def label(program: Program) -> str:
    """The program in listings: its layer, what it computes, and the tensors that it was made for."""
    tensors = [f"{each.name}[{', '.join(shape_texts(each))}] {each.dtype}" for each in program.with_role("input")]
    return f"{program.name} {program.direction}: {', '.join(tensors)}"


class _Readable(ast.NodeTransformer):
    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`n['C']` is C."""
        assert isinstance(node.slice, ast.Constant)
        return ast.Name(str(node.slice.value), ast.Load())

    def generic_visit(self, node: ast.AST) -> ast.AST:
        node = super().generic_visit(node)
        if not isinstance(node, _COMPUTED):
            return node
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        if names - set(_BUILTINS):
            return node
        value = eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<length>", "eval"), _BUILTINS)
        return ast.Constant(value)
