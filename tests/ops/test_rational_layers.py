"""What is particular to the rational activations: they start as what their init says, and presets train from there."""

import lamina
import pytest
import torch
from lamina.ops.presets import preset
from lamina.ops.references import REFERENCES
from library_cases import compiled
from torch.nn import functional

RATIONAL = [name for name in REFERENCES if name.startswith("group_rational")]
PER_GROUP = {"A": "group_rational_a", "B": "group_rational_b", "C": "group_rational_c", "N": "group_rational_n"}
GROUPS = 2


def coefficients(name, form):
    chosen = preset(name, form)
    a = torch.tensor(chosen.numerator, dtype=torch.float64).expand(GROUPS, -1).clone().requires_grad_()
    b = torch.tensor(chosen.denominator, dtype=torch.float64).expand(GROUPS, -1).clone().requires_grad_()
    return a, b, chosen


@pytest.mark.parametrize("name", RATIONAL)
def test_module_starts_as_silu(name):
    # The best error that is known for this degree is 4.6e-7.
    module = compiled(name, (("G", GROUPS),)).module(C=3, dtype=torch.float64)
    x = torch.linspace(-3, 3, 6 * 500, dtype=torch.float64)
    x = x.reshape(500, 6, 1, 1) if name.endswith("2d") else x.reshape(500, 6)
    error = (module(x) - functional.silu(x)).abs().max().item()
    assert error < 1e-5


@pytest.mark.parametrize("form", PER_GROUP)
def test_preset_gives_its_target_through_the_compiled_layer(form):
    a, b, chosen = coefficients("gelu_best", form)
    x = torch.linspace(-3, 3, 1000, dtype=torch.float64).reshape(-1, 2 * GROUPS)
    y = compiled(PER_GROUP[form], (("G", GROUPS),))(x, a, b)
    error = (y - functional.gelu(x)).abs().max().item()
    assert error <= chosen.max_error * 1.001


@pytest.mark.parametrize("form", "AB")
def test_denominator_trains_from_the_identity(form):
    a, b, _ = coefficients("identity", form)
    x = torch.randn(5, 3 * GROUPS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    compiled(PER_GROUP[form], (("G", GROUPS),))(x, a, b).square().sum().backward()
    assert bool((b.grad != 0).all())
    # The paper's own formula has the gradient of abs, 0 there.
    _, frozen, _ = coefficients("identity", "B")
    compiled("group_rational", (("G", GROUPS),))(x, a, frozen).square().sum().backward()
    assert bool((frozen.grad == 0).all())


def test_a_group_count_that_does_not_divide_the_channels_is_refused():
    a, b, _ = coefficients("identity", "B")
    with pytest.raises(lamina.ArgumentError, match=r"x: .* multiple of 2, found 5"):
        compiled("group_rational_b", (("G", GROUPS),))(torch.randn(3, 5, dtype=torch.float64), a, b)
