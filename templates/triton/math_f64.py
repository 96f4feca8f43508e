"""The scalar functions of the language in float64, by Triton's own exp, log, sin, cos and erf."""

import triton
import triton.language as tl


@triton.jit
def lamina_copy_sign(magnitude, sign):
    negative = sign.to(tl.int64, bitcast=True) < 0
    return tl.where(negative, -tl.abs(magnitude), tl.abs(magnitude))


@triton.jit
def lamina_reciprocal(x):
    return 1.0 / x


@triton.jit
def lamina_sqrt(x):
    return tl.sqrt(x)


@triton.jit
def lamina_rsqrt(x):
    return 1.0 / tl.sqrt(x)


# Half to even.
@triton.jit
def lamina_round(x):
    shift = lamina_copy_sign(4503599627370496.0 + 0.0 * x, x)
    return tl.where(tl.abs(x) < 4503599627370496.0, lamina_copy_sign((x + shift) - shift, x), x)


@triton.jit
def lamina_hypot(a, b):
    x = tl.abs(a)
    y = tl.abs(b)
    large = tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)
    small = tl.where(x > y, y, x)
    ratio = tl.where(large == 0.0, 0.0, small / large)
    result = large * tl.sqrt(1.0 + ratio * ratio)
    return tl.where((x == float("inf")) | (y == float("inf")), float("inf"), result)


@triton.jit
def lamina_exp(x):
    return tl.exp(x)


@triton.jit
def lamina_exp2(x):
    return tl.exp2(x)


# (u - 1) x / log(u), u = e^x rounded: the errors of both cancel (Kahan).
@triton.jit
def lamina_expm1(x):
    u = tl.exp(x)
    inner = (u - 1.0) * (x / tl.log(u))
    moderate = tl.where(u == 1.0, x, inner)
    return tl.where(x < -37.0, -1.0, tl.where(x > 37.0, u, moderate))


@triton.jit
def lamina_log(x):
    return tl.log(x)


@triton.jit
def lamina_log2(x):
    return tl.log2(x)


# log(u) x / (u - 1), u = 1 + x rounded: the errors of both cancel (Kahan).
@triton.jit
def lamina_log1p(x):
    u = 1.0 + x
    inner = tl.log(u) * (x / (u - 1.0))
    moderate = tl.where(u == 1.0, x, inner)
    return tl.where((tl.abs(x) < 9007199254740992.0) & (x > -1.0), moderate, tl.log(u))


@triton.jit
def lamina_sigmoid(x):
    t = tl.exp(-tl.abs(x))
    return tl.where(x < 0.0, t, 1.0) / (1.0 + t)


@triton.jit
def lamina_softplus(x):
    return tl.where(x < 0.0, 0.0, x) + lamina_log1p(tl.exp(-tl.abs(x)))


@triton.jit
def lamina_tanh(x):
    a = tl.abs(x)
    t = lamina_expm1(2.0 * tl.where(a > 20.0, 20.0, a))
    return lamina_copy_sign(t / (t + 2.0), x)


@triton.jit
def lamina_sinh(x):
    a = tl.abs(x)
    t = lamina_expm1(tl.where(a > 20.0, 20.0, a))
    half = tl.exp(0.5 * a)
    large = (0.5 * half) * half
    return lamina_copy_sign(tl.where(a > 20.0, large, 0.5 * (t + t / (t + 1.0))), x)


@triton.jit
def lamina_cosh(x):
    a = tl.abs(x)
    half = tl.exp(0.5 * a)
    t = tl.exp(tl.where(a > 20.0, 20.0, a))
    return tl.where(a > 20.0, (0.5 * half) * half, 0.5 * (t + 1.0 / t))


# log1p(a + a^2/(1 + sqrt(1 + a^2))); far out log(a) + ln 2.
@triton.jit
def lamina_asinh(x):
    a = tl.abs(x)
    bounded = tl.where(a > 1e8, 1e8, a)
    near = lamina_log1p(bounded + bounded * bounded / (1.0 + tl.sqrt(bounded * bounded + 1.0)))
    return lamina_copy_sign(tl.where(a > 1e8, tl.log(a) + 0.6931471805599453, near), x)


@triton.jit
def lamina_acosh(x):
    t = tl.where(x > 1e8, 1e8, x) - 1.0
    near = lamina_log1p(t + tl.sqrt(t * (t + 2.0)))
    return tl.where(x < 1.0, float("nan"), tl.where(x > 1e8, tl.log(x) + 0.6931471805599453, near))


@triton.jit
def lamina_atanh(x):
    a = tl.abs(x)
    return lamina_copy_sign(0.5 * lamina_log1p(2.0 * a / (1.0 - a)), x)


@triton.jit
def lamina_sin(x):
    return tl.sin(x)


@triton.jit
def lamina_cos(x):
    return tl.cos(x)


@triton.jit
def lamina_tan(x):
    return tl.sin(x) / tl.cos(x)


# atan t on [0, 1]: a polynomial to 2^-28.5, then the angle that is left, whose tangent is (t cos y - sin y)/(cos y + t sin y).
@triton.jit
def lamina_atan_reduced(t):
    z = t * t
    y = (
        t
        * z
        * (
            z
            * (
                z
                * (
                    z
                    * (
                        z
                        * (
                            z
                            * (
                                z * (z * (z * (-0.001782914623618126) + 0.010869012214243412) - 0.0310974158346653)
                                + 0.05788165330886841
                            )
                            - 0.08399313688278198
                        )
                        + 0.10950881242752075
                    )
                    - 0.14264015853405
                )
                + 0.1999852955341339
            )
            - 0.33333298563957214
        )
        + t
    )
    sine = tl.sin(y)
    cosine = tl.cos(y)
    return y + tl.fma(t, cosine, -sine) / (cosine + t * sine)


# pi/2 is 1.5707963267948966 and 6.123233995736766e-17.
@triton.jit
def lamina_atan(x):
    a = tl.abs(x)
    inverted = a > 1.0
    t = lamina_atan_reduced(tl.where(inverted, 1.0 / a, a))
    return lamina_copy_sign(tl.where(inverted, 1.5707963267948966 - (t - 6.123233995736766e-17), t), x)


@triton.jit
def lamina_atan2(y, x):
    a = tl.abs(x)
    b = tl.abs(y)
    steep = b > a
    numerator = tl.where(steep, a, b)
    denominator = tl.where(steep, b, a)
    ratio = tl.where(numerator == float("inf"), 1.0, numerator / denominator)
    first = lamina_atan_reduced(tl.where(denominator == 0.0, 0.0, ratio))
    octant = tl.where(steep, 1.5707963267948966 - (first - 6.123233995736766e-17), first)
    left = x.to(tl.int64, bitcast=True) < 0
    result = tl.where(left, 3.141592653589793 - (octant - 1.2246467991473532e-16), octant)
    return tl.where((x != x) | (y != y), x + y, lamina_copy_sign(result, y))


@triton.jit
def lamina_asin(x):
    return tl.where(tl.abs(x) > 1.0, float("nan"), lamina_atan2(x, tl.sqrt((1.0 - x) * (1.0 + x))))


@triton.jit
def lamina_acos(x):
    return tl.where(tl.abs(x) > 1.0, float("nan"), lamina_atan2(tl.sqrt((1.0 - x) * (1.0 + x)), x))


@triton.jit
def lamina_erf(x):
    return tl.erf(x)


# erfc a = e^(-a^2) P(t) / (a + 4), t = (a - 4)/(a + 4), for 0.6 <= a <= 28: degree 21, error 2^-58.7; below 0.65, 1 - erf x.
@triton.jit
def lamina_erfc(x):
    a = tl.where(tl.abs(x) > 28.0, 28.0, tl.abs(x))
    t = (a - 4.0) / (a + 4.0)
    p = (
        t
        * (
            t
            * (
                t
                * (
                    t
                    * (
                        t
                        * (
                            t
                            * (
                                t
                                * (
                                    t
                                    * (
                                        t
                                        * (
                                            t
                                            * (
                                                t
                                                * (
                                                    t
                                                    * (
                                                        t
                                                        * (
                                                            t
                                                            * (
                                                                t
                                                                * (
                                                                    t
                                                                    * (
                                                                        t
                                                                        * (
                                                                            t
                                                                            * (
                                                                                t
                                                                                * (
                                                                                    t
                                                                                    * (
                                                                                        t * (7.278280710363408e-10)
                                                                                        - 1.2154736526363e-08
                                                                                    )
                                                                                    - 7.031690496726327e-10
                                                                                )
                                                                                + 1.1948414150574592e-07
                                                                            )
                                                                            - 7.37197676429024e-08
                                                                        )
                                                                        - 8.425438160244112e-07
                                                                    )
                                                                    + 1.4230114204132747e-06
                                                                )
                                                                + 4.6926634642942275e-06
                                                            )
                                                            - 1.8860408711265575e-05
                                                        )
                                                        - 3.634637564650118e-06
                                                    )
                                                    + 0.0001768126961250168
                                                )
                                                - 0.0004550527884216318
                                            )
                                            - 0.00028095884595271905
                                        )
                                        + 0.006112055668551721
                                    )
                                    - 0.026370053342179896
                                )
                                + 0.07638151490837025
                            )
                            - 0.1740109372398394
                        )
                        + 0.3308515878780478
                    )
                    - 0.5408538313132373
                )
                + 0.7732087022652365
            )
            - 0.976548729080882
        )
        + 1.095995661000491
    )
    square = a * a
    low = tl.fma(a, a, -square)
    scaled = tl.exp(-square) * (p / (a + 4.0))
    result = scaled - scaled * low
    return tl.where(a < 0.65, 1.0 - tl.erf(x), tl.where(x < 0.0, 2.0 - result, result))


# |x|^y as e^(y log |x|), the rounding error of the logarithm and of the product carried along. The error grows as y times that
# of the logarithm's low part: a few units in the last place for |y log x| up to about 100.
@triton.jit
def lamina_magnitude_power(a, y):
    high = tl.log(a)
    back = tl.exp(high)
    low = (a - back) / a
    product = y * high
    rest = tl.fma(y, high, -product) + y * low
    finite = tl.exp(product) * (1.0 + tl.where(tl.abs(rest) < 1.0, rest, 0.0))
    ordinary = (a > 0.0) & (a < float("inf")) & (tl.abs(product) < 700.0)
    result = tl.where(ordinary, finite, tl.exp(product))
    return tl.where((a == 1.0) | (y == 0.0), 1.0, result)


# x^y as C's pow: 1 for y = 0 or x = 1 even beside NaN; a finite negative x has only integer powers.
@triton.jit
def lamina_power(x, y):
    y = tl.zeros_like(x) + y  # of the shape and precision of x, where it is a constant
    whole = tl.floor(y) == y
    odd = whole & (2.0 * tl.floor(0.5 * y) != y)
    magnitude = lamina_magnitude_power(tl.abs(x), y)
    result = tl.where(odd & (x.to(tl.int64, bitcast=True) < 0), -magnitude, magnitude)
    undefined = (x < 0.0) & (x > float("-inf")) & (whole == 0)
    return tl.where(x == 1.0, 1.0, tl.where(undefined, tl.where(y != y, y, float("nan")), result))


# x^n for n known only at run time; x^0 is 1 even for NaN.
@triton.jit
def lamina_integer_power(x, n):
    magnitude = lamina_magnitude_power(tl.abs(x), n.to(tl.float64))
    return tl.where(((n & 1) != 0) & (x.to(tl.int64, bitcast=True) < 0), -magnitude, magnitude)


@triton.jit
def lamina_lgamma(x):
    return lamina_lgamma_wide(x)


@triton.jit
def lamina_digamma(x):
    return lamina_digamma_wide(x)


@triton.jit
def lamina_polygamma(x, n: tl.constexpr):
    return lamina_polygamma_wide(x, n)
