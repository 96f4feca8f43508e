"""lgamma and its derivatives, in float64; the float32 functions round their results."""

import triton
import triton.language as tl


# log |gamma(x)| in float64: brought to x >= 10 by log gamma(x) = log gamma(x + 1) - log x, there Stirling's series (Abramowitz and
# Stegun, 6.1.41). Near its zeros at 1 and 2 the error is absolute, some 1e-15. x <= 0 is reflected.
@triton.jit
def lamina_lgamma_wide(x):
    reflected = x < 0.5
    z = tl.where(reflected, 1.0 - x, x)
    product = tl.full(x.shape, 1.0, tl.float64)
    for _ in tl.static_range(10):
        small = z < 10.0
        product = tl.where(small, product * z, product)
        z = tl.where(small, z + 1.0, z)
    w = 1.0 / z
    v = w * w
    series = w * (
        v
        * (
            v
            * (
                v
                * (
                    v
                    * (
                        v * (v * (v * (-0.029550653594771242) + 0.00641025641025641) - 0.0019175269175269176)
                        + 0.0008417508417508417
                    )
                    - 0.0005952380952380953
                )
                + 0.0007936507936507937
            )
            - 0.002777777777777778
        )
        + 0.08333333333333333
    )
    value = ((z - 0.5) * tl.log(z) - z) + 0.9189385332046728 + series - tl.log(product)
    value = tl.where(z == float("inf"), float("inf"), value)
    distance = x - tl.floor(x + 0.5)
    sine = tl.abs(tl.sin(3.141592653589793 * distance))
    other = tl.log(3.141592653589793 / sine) - value
    other = tl.where(distance == 0.0, float("inf"), other)
    return tl.where(reflected, tl.where(x == float("-inf"), float("inf"), other), value)


# The derivative of lgamma: templates/cpp/math_special.hpp says how.
@triton.jit
def lamina_digamma_wide(x):
    reflected = x <= 0.0
    distance = x - tl.floor(x + 0.5)
    angle = 3.141592653589793 * distance
    result = tl.where(reflected, -3.141592653589793 * (tl.cos(angle) / tl.sin(angle)), 0.0)
    z = tl.where(reflected, 1.0 - x, x)
    large = z >= 10.0
    below = z < 1.0
    near = tl.where(large, 1.5, z)
    shift = tl.where(below, -1.0 / near, 0.0)
    near = tl.where(below, near + 1.0, near)
    for _ in tl.static_range(8):
        over = near > 2.0
        near = tl.where(over, near - 1.0, near)
        shift = tl.where(over, shift + 1.0 / near, shift)
    from_root = (near - 1.4616321449683622) - 9.549995429965697e-17
    y = near - 1.5
    p = (
        y
        * (
            y
            * (
                y
                * (
                    y
                    * (
                        y
                        * (
                            y
                            * (
                                y
                                * (
                                    y
                                    * (
                                        y
                                        * (
                                            y
                                            * (
                                                y
                                                * (
                                                    y
                                                    * (
                                                        y
                                                        * (
                                                            y
                                                            * (
                                                                y
                                                                * (
                                                                    y
                                                                    * (
                                                                        y
                                                                        * (
                                                                            y
                                                                            * (
                                                                                y
                                                                                * (
                                                                                    y
                                                                                    * (
                                                                                        y * (-0.00017312261802727394)
                                                                                        + 0.00025968482126430747
                                                                                    )
                                                                                    - 0.00015148586836773365
                                                                                )
                                                                                + 0.0002272331660987376
                                                                            )
                                                                            - 0.0004821990530566789
                                                                        )
                                                                        + 0.0007233266279287554
                                                                    )
                                                                    - 0.0010376374098418604
                                                                )
                                                                + 0.0015566317474486838
                                                            )
                                                            - 0.002345267632540769
                                                        )
                                                        + 0.003519006401502276
                                                    )
                                                    - 0.005279964873257405
                                                )
                                                + 0.007926944646403797
                                            )
                                            - 0.011908218001568644
                                        )
                                        + 0.0179072524394512
                                    )
                                    - 0.02697579675613825
                                )
                                + 0.04076083381242074
                            )
                            - 0.061922133273064534
                        )
                        + 0.09498872445494122
                    )
                    - 0.14840492305390884
                )
                + 0.2405424842407742
            )
            - 0.4236274212814605
        )
        + 0.951055876031833
    )
    w = 1.0 / z / z
    series = w * (
        w
        * (
            w
            * (
                w
                * (
                    w * (w * (w * (w * (-0.4432598039215686) + 0.08333333333333333) - 0.021092796092796094) + 0.007575757575757576)
                    - 0.004166666666666667
                )
                + 0.003968253968253968
            )
            - 0.008333333333333333
        )
        + 0.08333333333333333
    )
    far = tl.log(z) - 0.5 / z - series
    result = result + tl.where(large, far, shift + from_root * p)
    pole = tl.where(x == 0.0, -1.0 / x, float("nan"))
    return tl.where(reflected & (distance == 0.0), pole, result)


# The sum of (x + k)^-s over k >= 0, for x > 0: terms up to x + k >= 12 + s, the rest by Euler and Maclaurin's formula with ten
# terms.
@triton.jit
def lamina_hurwitz_zeta(x, s: tl.constexpr):
    sum = tl.full(x.shape, 0.0, tl.float64)
    z = x
    for _ in tl.static_range(12 + s):
        power = tl.full(x.shape, 1.0, tl.float64)
        for _k in tl.static_range(s):
            power = power / z
        small = z < 12.0 + s
        sum = tl.where(small, sum + power, sum)
        z = tl.where(small, z + 1.0, z)
    power = tl.full(x.shape, 1.0, tl.float64)
    for _k in tl.static_range(s):
        power = power / z
    series = 0.5 + z / (s - 1.0)
    factor = s / z
    series = series + 0.08333333333333333 * factor
    factor = factor * ((s + 1.0) / z) * ((s + 2.0) / z)
    series = series + -0.001388888888888889 * factor
    factor = factor * ((s + 3.0) / z) * ((s + 4.0) / z)
    series = series + 3.306878306878307e-05 * factor
    factor = factor * ((s + 5.0) / z) * ((s + 6.0) / z)
    series = series + -8.267195767195768e-07 * factor
    factor = factor * ((s + 7.0) / z) * ((s + 8.0) / z)
    series = series + 2.08767569878681e-08 * factor
    factor = factor * ((s + 9.0) / z) * ((s + 10.0) / z)
    series = series + -5.284190138687493e-10 * factor
    factor = factor * ((s + 11.0) / z) * ((s + 12.0) / z)
    series = series + 1.3382536530684679e-11 * factor
    factor = factor * ((s + 13.0) / z) * ((s + 14.0) / z)
    series = series + -3.3896802963225827e-13 * factor
    factor = factor * ((s + 15.0) / z) * ((s + 16.0) / z)
    series = series + 8.586062056277845e-15 * factor
    factor = factor * ((s + 17.0) / z) * ((s + 18.0) / z)
    series = series + -2.174868698558062e-16 * factor
    return tl.where(x == float("inf"), 0.0, sum + series * power)


# The derivative of order n of digamma: (-1)^(n+1) n! zeta(n + 1, x); templates/cpp/math_special.hpp says how, x < 0 too.
@triton.jit
def lamina_polygamma_wide(x, n: tl.constexpr):
    factorial = tl.full((), -1.0, tl.float64)
    for k in tl.static_range(1, n + 1):
        factorial = factorial * (-1.0 * k)
    floor = tl.floor(x)
    positive = x > 0.0
    whole = (positive == 0) & (x == floor)
    inner = tl.where(positive, x, tl.where(whole, 0.5, x - floor))
    value = lamina_hurwitz_zeta(inner, n + 1)
    outer = tl.where(positive | whole, 1.0, 1.0 - x)
    left = lamina_hurwitz_zeta(tl.where(positive | whole, 0.5, 1.0 - (x - floor)), n + 1) - lamina_hurwitz_zeta(outer, n + 1)
    sign = tl.full((), 1.0, tl.float64)
    for _k in tl.static_range(n + 1):
        sign = -sign
    value = tl.where(positive | whole, value, value + sign * left)
    result = factorial * tl.where(whole, float("inf"), value)
    return tl.where(x != x, x, result)
