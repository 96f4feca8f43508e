"""The rational presets: their errors are what the data file says, and none is handed out under another form."""

import re

import numpy
import pytest
from lamina import errors
from lamina.ops import fit_presets
from lamina.ops.presets import FORMS, preset, presets, rational


@pytest.mark.parametrize("chosen", presets(), ids=lambda chosen: f"{chosen.name}-{chosen.form}")
def test_error_is_the_stated_one(chosen):
    measured = fit_presets.measured_error(chosen.form, chosen.numerator, chosen.denominator, chosen.target, chosen.interval)
    assert measured == pytest.approx(chosen.max_error, rel=1e-3, abs=1e-300)
    assert len(chosen.numerator) == 6 and len(chosen.denominator) == (5 if chosen.form == "C" else 4)


def test_gelu_of_the_transformer_is_refused_under_form_a():
    with pytest.raises(errors.ArgumentError, match=r"fitted for \(B\), found form A.*gelu_best"):
        preset("gelu", "A")
    chosen = preset("gelu", "B")
    wrong = fit_presets.measured_error("A", chosen.numerator, chosen.denominator, chosen.target, chosen.interval)
    assert wrong == pytest.approx(1.465, abs=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_identity_and_a_good_gelu_and_silu(form):
    x = numpy.linspace(-20, 20, 41)
    identity = preset("identity", form)
    assert numpy.array_equal(rational(form, identity.numerator, identity.denominator, x), x)
    assert preset("gelu_best", form).max_error < 1.3e-3
    assert preset("silu_best", form).max_error < 5e-7


def test_unknown_names_and_forms_say_what_there_is():
    with pytest.raises(errors.ArgumentError, match=re.escape("one of A, B, C, N; found 'D'")):
        preset("gelu", "D")
    with pytest.raises(errors.ArgumentError, match=r"identity.*found 'swosh'"):
        preset("swosh", "A")


def test_names_occur_once_for_each_form():
    keys = [(chosen.name, chosen.form) for chosen in presets()]
    assert len(keys) == len(dict.fromkeys(keys))


def test_the_fit_is_reproducible():
    numerator, denominator = fit_presets.best_even_fit(fit_presets.TARGETS["gelu"], (-3.0, 3.0))
    error = fit_presets.measured_error("A", numerator, denominator, "gelu", (-3.0, 3.0))
    assert error == pytest.approx(preset("gelu_best", "A").max_error, rel=1e-3)
