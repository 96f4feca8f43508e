"""What is tiled: attention written plainly stores nothing that has a value for every pair of positions."""

from __future__ import annotations

import pytest
from lamina import pipeline
from lamina.codegen.cpp.tile_calls import tile_dimensions
from lamina.ir.graph import Graph
from lamina.ir.lengths import evaluate
from lamina.lang.check import load
from lamina.passes.pipeline import finish
from lamina.schedule import tiles
from lamina.schedule.partition import schedule
from lamina.schedule.program import InputSignature, Signature
from lamina.schedule.steps import Schedule


def attention(weights: str, *more: str) -> str:
    return f"""layer attention {{ in q[B, H, L, D] in k[B, H, J, D] in v[B, H, J, E] {" ".join(more)}
      let s = sum[D](q * k) / sqrt(D) out o[B, H, L, E] = sum[J](({weights}) * v) }}"""


LAYERS = {
    "softmax": attention("softmax[J](s)"),
    "causal": attention("softmax[J](select(index(J) <= index(L), s, -1/0))"),
    "masked": attention("softmax[J](select(m, s, -1/0))", "in m[B, L, J] : bool"),
    "sigmoid": attention("sigmoid(s)"),
    "rectified": attention("relu(s) / J"),
    "split": """layer attention { in q[B, L, H*D] in k[B, J, H*D] in v[B, J, H*E] axis H = 8
      let s = sum[D](q[B, L, H*D] * k[B, J, H*D]) / sqrt(D) out o[B, L, H*E] = sum[J](softmax[J](s) * v[B, J, H*E]) }""",
    "groups": """layer attention { in q[B, G, R, L, D] in k[B, G, J, D] in v[B, G, J, E]
      let s = sum[D](q * k) / sqrt(D) out o[B, G, R, L, E] = sum[J](softmax[J](s) * v) }""",
    "projected": """layer attention(H = 8) { in x[B, L, H*D] in y[B, J, C] param w[H, D, C] = 1 param u[H, D, C] = 1
      let k = sum[C](y * w) let v = sum[C](y * u) out a[B, L, H*D] = sum[J](softmax[J](sum[D](x * k)) * v) }""",
}


def plan_of(graph: Graph, dtype: str = "f32") -> Schedule:
    stored = {"float": dtype, "compute": "f32"}
    inputs = tuple(InputSignature(spec.name, stored.get(spec.dtype, spec.dtype)) for spec in graph.inputs)
    return schedule(finish(graph), Signature(inputs, dtype))


def programs(text: str) -> dict[str, Graph]:
    graph = pipeline.forward_graph(load(text))
    wanted = tuple(spec.name for spec in graph.inputs if spec.dtype == "float")
    forward, backward = pipeline.training_pair(graph, wanted)
    first = pipeline.backward_graph(graph, wanted)
    second = pipeline.backward_graph(first, tuple(spec.name for spec in first.inputs if spec.dtype == "float"))
    return {"forward": graph, "training forward": forward, "training backward": backward, "second": second}


def whole_pairs(plan: Schedule) -> list[str]:
    """Buffers beside the inputs with a value for every pair of L and J."""
    pair = {plan.lengths["L"], plan.lengths["J"]}
    return [
        buffer.name
        for buffer in plan.buffers.values()
        if not buffer.tile and buffer.role != "input" and pair <= set(buffer.dimensions)
    ]


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("name", LAYERS)
def test_no_pair_is_stored(name: str, dtype: str) -> None:
    for title, graph in programs(LAYERS[name]).items():
        plan = plan_of(graph, dtype)
        assert plan.tiles, title
        assert whole_pairs(plan) == [], title
        for spec in graph.inputs:
            if spec.role == "saved":
                assert not {"L", "J"} <= {axis for entry in spec.entries for axis in entry.axes}, title


def test_statistics_are_saved() -> None:
    backward = programs(LAYERS["softmax"])["training backward"]
    saved = [[axis for entry in spec.entries for axis in entry.axes] for spec in backward.inputs if spec.role == "saved"]
    assert saved == [["B", "H", "L"]] * 2


@pytest.mark.parametrize("columns", [0, 1, 17, 1024, 10**6])
@pytest.mark.parametrize("rows", [0, 1, 1000, 10**6])
def test_a_tile_is_small(rows: int, columns: int) -> None:
    for graph in programs(LAYERS["softmax"]).values():
        plan = plan_of(graph)
        values = {"B": 3, "H": 5, "L": rows, "J": columns, "D": 64, "E": 64}
        for loop in plan.tiles:
            held = 0
            for name in loop.tiled:
                size = 1
                for length in tile_dimensions(plan.buffers[name], loop, plan.lengths):
                    size *= evaluate(length, values)
                held += size
            row = columns * sum("J" in map(str, plan.buffers[name].dimensions) for name in loop.tiled) + 2 * 64
            assert evaluate(loop.extent, values) % tiles.TILE_UNIT == 0
            assert evaluate(loop.extent, values) >= tiles.TILE_UNIT
            assert held <= max(tiles.TILE_UNIT * row, 0) + tiles.TILE_ELEMENTS


def test_weights_of_a_layer_are_saved_for() -> None:
    """What a parameter makes of an input is no pair of positions: it is computed once."""
    text = """layer hidden { in x[B, I] param w[F, I] = 1 param u[O, F] = 1 out y[B, O] = sum[F](gelu(sum[I](x * w)) * u) }"""
    forward = programs(text)["training forward"]
    assert [output.spec.role for output in forward.outputs].count("saved") == 1


def test_results_are_not_added_up_tile_by_tile_to_spare_a_part_of_the_weights() -> None:
    """A rearranged part of a parameter is no larger than the parameter: it may stay whole, and tiles run along the rows of x."""
    text = """layer basis(O, D = 4) { in x[B, I] param w[O, I, D+1] = 1
      out y[B, O] = sum[I, d < D+1](w[O, I, d] * chebyshev(d, tanh(x))) }"""
    plan = plan_of(pipeline.forward_graph(load(text)))
    assert [tile.axis for tile in plan.tiles] == ["B"]
    assert not any(
        buffer.role == "temporary" and len(buffer.dimensions) == 3 and "B" in map(str, buffer.dimensions) and not buffer.tile
        for buffer in plan.buffers.values()
    )
