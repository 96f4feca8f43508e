"""The scalar functions of the language in float32: those of templates/cpp/math_float.hpp, with its coefficients and its errors.

Functions without a comment are explained there. Constants are written with all the digits of their hexadecimal forms.
"""

import triton
import triton.language as tl


@triton.jit
def lamina_copy_sign(magnitude, sign):
    bits = magnitude.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    return (bits | (sign.to(tl.int32, bitcast=True) & -0x80000000)).to(tl.float32, bitcast=True)


# 2^n for -127 < n < 128.
@triton.jit
def lamina_power_of_two(n):
    return ((n + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def lamina_reciprocal(x):
    return tl.div_rn(1.0, x)


@triton.jit
def lamina_sqrt(x):
    return tl.sqrt_rn(x)


@triton.jit
def lamina_rsqrt(x):
    return tl.div_rn(1.0, tl.sqrt_rn(x))


# Half to even.
@triton.jit
def lamina_round(x):
    shift = lamina_copy_sign(tl.full((), 8388608.0, tl.float32) + 0.0 * x, x)
    return tl.where(tl.abs(x) < 8388608.0, lamina_copy_sign((x + shift) - shift, x), x)


@triton.jit
def lamina_hypot(a, b):
    x = tl.abs(a)
    y = tl.abs(b)
    large = tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)
    small = tl.where(x > y, y, x)
    ratio = tl.where(large == 0.0, 0.0, tl.div_rn(small, large))
    result = large * tl.sqrt_rn(1.0 + ratio * ratio)
    return tl.where((x == float("inf")) | (y == float("inf")), float("inf"), result)


# x = n ln 2 + r + low, |r| <= ln(2)/2, low the rounding error of r, for |x| < 2^10.
@triton.jit
def lamina_reduce_exp(x):
    biased = x * 1.4426950216293335 + 12582912.0
    whole = biased - 12582912.0
    head = x - whole * 0.693145751953125
    r = head - whole * 1.428606765330187e-06
    low = (head - r) - whole * 1.428606765330187e-06
    n = biased.to(tl.int32, bitcast=True) - 0x4B400000
    return r, low, n


# e^(r + low) - 1 = r + r^2 P(r) + low: degree 7, error 2^-31.1.
@triton.jit
def lamina_expm1_reduced(r, low):
    p = (
        r
        * (
            r * (r * (r * (r * 0.0001976070343516767 + 0.001393232261762023) + 0.008333547040820122) + 0.04166649281978607)
            + 0.1666666567325592
        )
        + 0.5
    )
    return (r * r * p + low) + r


# 2^shift factor e^x, with one rounding into the denormal range; 0.5 <= factor <= 2.
@triton.jit
def lamina_scaled_exp(x, factor, shift: tl.constexpr):
    above = tl.where(x < -106.0, -106.0, x)
    between = tl.where(above > 91.0, 91.0, above)
    r, low, whole = lamina_reduce_exp(between)
    n = whole + shift
    half = n >> 1
    return (lamina_expm1_reduced(r, low) * factor + factor) * lamina_power_of_two(half) * lamina_power_of_two(n - half)


# e^x for -87 <= x <= 88.
@triton.jit
def lamina_moderate_exp(x):
    r, low, n = lamina_reduce_exp(x)
    return (lamina_expm1_reduced(r, low) + 1.0) * lamina_power_of_two(n)


@triton.jit
def lamina_exp(x):
    return lamina_scaled_exp(x, 1.0, 0)


# 2^r = 1 + r P(r) on [-1/2, 1/2]: degree 6, error 2^-28.3.
@triton.jit
def lamina_exp2(x):
    above = tl.where(x < -152.0, -152.0, x)
    between = tl.where(above > 129.0, 129.0, above)
    biased = between + 12582912.0
    r = between - (biased - 12582912.0)
    n = biased.to(tl.int32, bitcast=True) - 0x4B400000
    half = n >> 1
    p = (
        r
        * (
            r
            * (
                r * (r * (r * (r * 0.00015326471475418657 + 0.0013390806270763278) + 0.009618505835533142) + 0.05550359934568405)
                + 0.24022647738456726
            )
            + 0.6931471824645996
        )
        + 1.0
    )
    return p * lamina_power_of_two(half) * lamina_power_of_two(n - half)


@triton.jit
def lamina_expm1(x):
    above = tl.where(x < -20.0, -20.0, x)
    between = tl.where(above > 89.0, 89.0, above)
    r, low, n = lamina_reduce_exp(between)
    scale = lamina_power_of_two(n - 1)
    result = 2.0 * (scale * lamina_expm1_reduced(r, low) + (scale - 0.5))
    return lamina_copy_sign(tl.where(tl.abs(x) < 2.9802322387695312e-08, x, result), x)


@triton.jit
def lamina_sigmoid(x):
    t = lamina_scaled_exp(-tl.abs(x), 1.0, 0)
    denominator = 1.0 + t
    error = t - (denominator - 1.0)
    quotient = tl.div_rn(tl.where(x < 0.0, t, 1.0), denominator)
    return quotient - quotient * (error * (1.46 - 0.5 * denominator))


# max(x, 0) + log1p(t), t = e^-|x|; log1p(t) = t + t^2 P(t) on [0, 1]: degree 11, error 2^-30.
@triton.jit
def lamina_softplus(x):
    t = lamina_scaled_exp(-tl.abs(x), 1.0, 0)
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
                                t * (t * (t * 0.0020846077241003513 - 0.013691917061805725) + 0.04211520031094551)
                                - 0.08323923498392105
                            )
                            + 0.12479539960622787
                        )
                        - 0.16135172545909882
                    )
                    + 0.19899623095989227
                )
                - 0.24988864362239838
            )
            + 0.33332714438438416
        )
        - 0.49999988079071045
    )
    return tl.where(x < 0.0, 0.0, x) + (t * t * p + t)


# |x| < 0.55: x + x^3 P(x^2), degree 11, error 2^-29.7; beyond: 1 - 2/(e^2x + 1), which is 1 from 9.02 on.
@triton.jit
def lamina_tanh(x):
    a = tl.abs(x)
    z = x * x
    p = (
        z * (z * (z * (z * -0.00624284939840436 + 0.02105071395635605) - 0.0538475476205349) + 0.13332544267177582)
        - 0.33333316445350647
    )
    small = a * z * p + a
    bounded = tl.where(a > 10.0, 10.0, a)
    large = 1.0 - tl.div_rn(2.0, lamina_moderate_exp(2.0 * bounded) + 1.0)
    return lamina_copy_sign(tl.where(a < 0.55, small, large), x)


# |x| < 1: x + x^3 P(x^2), degree 9, error 2^-31.6.
@triton.jit
def lamina_sinh(x):
    a = tl.abs(x)
    z = x * x
    p = z * (z * (z * 2.7822131869470468e-06 + 0.00019842895562760532) + 0.00833331048488617) + 0.1666666716337204
    small = a * z * p + a
    half = lamina_scaled_exp(a, 1.0, -1)
    return lamina_copy_sign(tl.where(a < 1.0, small, half - tl.div_rn(0.25, half)), x)


@triton.jit
def lamina_cosh(x):
    half = lamina_scaled_exp(tl.abs(x), 1.0, -1)
    return half + tl.div_rn(0.25, half)


# x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), f exact, for finite x > 0 (anything else gives some finite f and e).
@triton.jit
def lamina_reduce_log(x):
    denormal = x < 1.1754943508222875e-38
    shifted = tl.where(denormal, x * 16777216.0, x).to(tl.int32, bitcast=True) - 0x3F3504F3
    e = (shifted >> 23) - tl.where(denormal, 24, 0)
    f = ((shifted & 0x7FFFFF) + 0x3F3504F3).to(tl.float32, bitcast=True) - 1.0
    return f, e


# log(1 + f) - f = -f^2/2 + f^3 P(f) for 1 + f in [sqrt(1/2), sqrt(2)]: degree 11, error 2^-30.3 of log(1 + f).
@triton.jit
def lamina_log1p_reduced(f):
    p = (
        f
        * (
            f
            * (
                f
                * (
                    f
                    * (
                        f * (f * (f * (f * 0.06749296933412552 - 0.116701140999794) + 0.11883548647165298) - 0.12406232953071594)
                        + 0.14220358431339264
                    )
                    - 0.16667988896369934
                )
                + 0.2000207155942917
            )
            - 0.25000008940696716
        )
        + 0.3333331346511841
    )
    return f * f * (f * p - 0.5)


# e ln 2 + log(1 + f); the head of ln 2 has 15 bits, so that its product is exact.
@triton.jit
def lamina_combine_log(e, f):
    exponent = e.to(tl.float32)
    return exponent * 0.693145751953125 + (f + (exponent * 1.428606765330187e-06 + lamina_log1p_reduced(f)))


# The value of a logarithm where its argument is 0, negative, infinite or NaN.
@triton.jit
def lamina_finish_log(argument, result):
    upper = tl.where(argument < float("inf"), result, argument)
    lower = tl.where(argument < 0.0, float("nan"), upper)
    return tl.where(argument == 0.0, float("-inf"), lower)


@triton.jit
def lamina_log(x):
    f, e = lamina_reduce_log(x)
    return lamina_finish_log(x, lamina_combine_log(e, f))


@triton.jit
def lamina_log2(x):
    f, e = lamina_reduce_log(x)
    high = f * 1.4426950216293335  # log2(e) is this and 0x1.4ae0cp-26
    error = tl.fma(f, tl.full((), 1.4426950216293335, tl.float32), -high)
    low = error + (f * 1.925963033500011e-08 + lamina_log1p_reduced(f) * 1.4426950216293335)
    return lamina_finish_log(x, e.to(tl.float32) + (high + low))


# 2^extra (u + low) with |low| below an ulp of u: its logarithm, to the accuracy of log.
@triton.jit
def lamina_log_of_sum(u, low, extra):
    f, e = lamina_reduce_log(u)
    scale = ((127 - tl.minimum(e, 127)) << 23).to(tl.float32, bitcast=True)
    return lamina_finish_log(u, lamina_combine_log(e + extra, f + low * scale))


# The rounding error of 1 + x is carried along (Knuth's exact sum).
@triton.jit
def lamina_log1p(x):
    u = 1.0 + x
    rounded = u - 1.0
    low = (1.0 - (u - rounded)) + (x - rounded)
    return lamina_copy_sign(lamina_log_of_sum(u, low, 0), x)


# log1p(a + a^2/(1 + sqrt(1 + a^2))); above 2^12, log(a) + ln 2.
@triton.jit
def lamina_asinh(x):
    a = tl.abs(x)
    large = a > 4096.0
    w = a + tl.div_rn(a * a, 1.0 + tl.sqrt_rn(a * a + 1.0))
    u = 1.0 + w
    rounded = u - 1.0
    low = (1.0 - (u - rounded)) + (w - rounded)
    result = lamina_log_of_sum(tl.where(large, a, u), tl.where(large, 0.0, low), tl.where(large, 1, 0))
    return lamina_copy_sign(result, x)


# log1p(t + sqrt(2 t + t^2)), t = x - 1; above 2^12, log(x) + ln 2.
@triton.jit
def lamina_acosh(x):
    t = x - 1.0
    large = x > 4096.0
    w = t + tl.sqrt_rn(t * (t + 2.0))
    u = 1.0 + w
    rounded = u - 1.0
    low = (1.0 - (u - rounded)) + (w - rounded)
    result = lamina_log_of_sum(tl.where(large, x, u), tl.where(large, 0.0, low), tl.where(large, 1, 0))
    return tl.where(x < 1.0, float("nan"), result)


@triton.jit
def lamina_atanh(x):
    a = tl.abs(x)
    return lamina_copy_sign(0.5 * lamina_log1p(tl.div_rn(2.0 * a, 1.0 - a)), x)


# a = (quarters + remainder) pi/2 for every finite a >= 0, |remainder| <= 1/2 or so; the result is remainder pi/2.
@triton.jit
def lamina_reduce_quarters(a):
    high = tl.full((), 1.0344533474420156e-27, tl.float64)
    high = tl.where(a < 2.076918743413931e34, tl.full((), 5.961774436871449e-21, tl.float64), high)
    high = tl.where(a < 4.951760157141521e27, tl.full((), 1.4504564269239186e-14, tl.float64), high)
    high = tl.where(a < 1.1805916207174113e21, tl.full((), 8.528719804229428e-08, tl.float64), high)
    high = tl.where(a < 281474976710656.0, tl.full((), 0.6366197723675814, tl.float64), high)
    low = tl.full((), -6.347906989929515e-44, tl.float64)
    low = tl.where(a < 2.076918743413931e34, tl.full((), -1.8556067874822505e-37, tl.float64), low)
    low = tl.where(a < 4.951760157141521e27, tl.full((), -5.321602079519459e-31, tl.float64), low)
    low = tl.where(a < 1.1805916207174113e21, tl.full((), 6.074026489649846e-24, tl.float64), low)
    low = tl.where(a < 281474976710656.0, tl.full((), -3.935735335036497e-17, tl.float64), low)
    wide = a.to(tl.float64)
    biased = wide * high + 6755399441055744.0
    quarters = biased.to(tl.int64, bitcast=True)
    remainder = tl.fma(wide, high, 6755399441055744.0 - biased) + wide * low
    return (remainder * tl.full((), 1.5707963267948966, tl.float64)).to(tl.float32), quarters.to(tl.int32)


# The sine of quarters pi/2 + r, |r| <= 0.795. sin r = r + r^3 P(r^2): degree 7, error 2^-27.8;
# cos r = 1 - r^2/2 + r^4 P(r^2): degree 8, error 2^-32.6.
@triton.jit
def lamina_sin_of_quarters(quarters, r):
    z = r * r
    p = z * (z * -0.00019507459364831448 + 0.008332104422152042) - 0.16666653752326965
    sine = r * z * p + r
    q = z * (z * 2.4429418772342615e-05 - 0.001388729433529079) + 0.04166664555668831
    cosine = z * z * q + (1.0 - 0.5 * z)
    value = tl.where((quarters & 1) != 0, cosine, sine)
    return tl.where((quarters & 2) != 0, -value, value)


@triton.jit
def lamina_sin(x):
    r, quarters = lamina_reduce_quarters(tl.abs(x))
    value = lamina_sin_of_quarters(quarters, r)
    return tl.where(x.to(tl.int32, bitcast=True) < 0, -value, value)


@triton.jit
def lamina_cos(x):
    r, quarters = lamina_reduce_quarters(tl.abs(x))
    return lamina_sin_of_quarters(quarters + 1, r)


# tan r = r + r^3 P(r^2) for |r| <= 0.795: degree 15, error 2^-29.2; in odd quarters -1/tan r.
@triton.jit
def lamina_tan(x):
    r, quarters = lamina_reduce_quarters(tl.abs(x))
    z = r * r
    p = (
        z
        * (
            z
            * (
                z * (z * (z * (z * 0.004501570016145706 - 0.0001572383043821901) + 0.011023701168596745) + 0.02121291495859623)
                + 0.05407252535223961
            )
            + 0.13332562148571014
        )
        + 0.3333335220813751
    )
    t = r * z * p + r
    result = tl.where((quarters & 1) != 0, tl.div_rn(-1.0, t), t)
    return tl.where(x.to(tl.int32, bitcast=True) < 0, -result, result)


# atan t = t + t^3 P(t^2) on [0, 1]: degree 19, error 2^-28.5.
@triton.jit
def lamina_atan_reduced(t):
    z = t * t
    p = (
        z
        * (
            z
            * (
                z
                * (
                    z
                    * (
                        z
                        * (z * (z * (z * -0.001782914623618126 + 0.010869012214243412) - 0.0310974158346653) + 0.05788165330886841)
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
    return t * z * p + t


# pi is 3.1415927410125732 and -8.742277657347586e-08.
@triton.jit
def lamina_atan(x):
    a = tl.abs(x)
    inverted = a > 1.0
    t = lamina_atan_reduced(tl.where(inverted, tl.div_rn(1.0, a), a))
    return lamina_copy_sign(tl.where(inverted, 1.5707963705062866 - (t - -4.371138828673793e-08), t), x)


@triton.jit
def lamina_atan2(y, x):
    a = tl.abs(x)
    b = tl.abs(y)
    steep = b > a
    numerator = tl.where(steep, a, b)
    denominator = tl.where(steep, b, a)
    ratio = tl.where(numerator == float("inf"), 1.0, tl.div_rn(numerator, denominator))
    first = lamina_atan_reduced(tl.where(denominator == 0.0, 0.0, ratio))
    octant = tl.where(steep, 1.5707963705062866 - (first - -4.371138828673793e-08), first)
    left = x.to(tl.int32, bitcast=True) < 0
    result = tl.where(left, 3.1415927410125732 - (octant - -8.742277657347586e-08), octant)
    return tl.where((x != x) | (y != y), x + y, lamina_copy_sign(result, y))


# asin x = x + x^3 P(x^2) on [0, 1/2]: degree 13, error 2^-31.7.
@triton.jit
def lamina_asin_reduced(x, z):
    p = (
        z
        * (
            z * (z * (z * (z * 0.037691645324230194 + 0.014316964894533157) + 0.03183884173631668) + 0.04451338201761246)
            + 0.07500521838665009
        )
        + 0.16666659712791443
    )
    return x * z * p + x


# Above 1/2, pi/2 - 2 asin(sqrt((1 - x)/2)).
@triton.jit
def lamina_asin(x):
    a = tl.abs(x)
    large = a > 0.5
    z = tl.where(large, 0.5 - 0.5 * a, a * a)
    t = lamina_asin_reduced(tl.where(large, tl.sqrt_rn(z), a), z)
    return lamina_copy_sign(tl.where(large, 1.5707963705062866 - (2.0 * t - -4.371138828673793e-08), t), x)


@triton.jit
def lamina_acos(x):
    a = tl.abs(x)
    large = a > 0.5
    z = tl.where(large, 0.5 - 0.5 * a, a * a)
    t = lamina_asin_reduced(tl.where(large, tl.sqrt_rn(z), a), z)
    side = lamina_copy_sign(t, x)
    middle = 1.5707963705062866 - (side - -4.371138828673793e-08)
    end = tl.where(x < 0.0, 3.1415927410125732 - (2.0 * t - -8.742277657347586e-08), 2.0 * t)
    return tl.where(large, end, middle)


# erf x = x + x P(x^2) for |x| <= 1: degree 13, error 2^-29.4. The result is P.
@triton.jit
def lamina_erf_excess(z):
    return (
        z
        * (
            z
            * (
                z * (z * (z * (z * 7.806903158780187e-05 - 0.0007997853099368513) + 0.005187162198126316) - 0.026853347197175026)
                + 0.11283578723669052
            )
            - 0.3761262595653534
        )
        + 0.12837916612625122
    )


# |x| < 1 as above; beyond, 1 - exp(P(|x|)), degree 6, error 2^-29.8, which is 1 from 3.93 on.
@triton.jit
def lamina_erf(x):
    a = tl.abs(x)
    small = a * lamina_erf_excess(x * x) + a
    bounded = tl.where(a > 4.0, 4.0, a)
    exponent = (
        bounded
        * (
            bounded
            * (
                bounded
                * (
                    bounded * (bounded * (bounded * 0.00018637542962096632 - 0.002947627566754818) + 0.021837962791323662)
                    - 0.10310658812522888
                )
                - 0.6381449699401855
            )
            - 1.1270891427993774
        )
        - 0.00034152535954490304
    )
    large = 1.0 - lamina_moderate_exp(exponent)
    return lamina_copy_sign(tl.where(a < 1.0, small, large), x)


# erfc a = e^(-a^2) P(t) / (a + 4), t = (a - 4)/(a + 4), for 0 <= a <= 10.1: degree 10, error 2^-28.1. Below 0.65, 1 - erf x.
@triton.jit
def lamina_erfc(x):
    a = tl.where(tl.abs(x) > 10.1, 10.1, tl.abs(x))
    denominator = a + 4.0
    reciprocal = tl.div_rn(1.0, denominator)
    product = denominator * reciprocal
    residual = (1.0 - product) - tl.fma(denominator, reciprocal, -product)
    error = residual - (a - (denominator - 4.0)) * reciprocal
    t = (1.0 - 8.0 * reciprocal) - 8.0 * reciprocal * error
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
                                    t * (t * (t * -0.0007223261636681855 - 0.0003176744794473052) + 0.00623491033911705)
                                    - 0.026341548189520836
                                )
                                + 0.07635002583265305
                            )
                            - 0.17401519417762756
                        )
                        + 0.330856591463089
                    )
                    - 0.5408536195755005
                )
                + 0.7732083797454834
            )
            - 0.9765487313270569
        )
        + 1.0959956645965576
    )
    square = a * a
    scaled = p * reciprocal
    factor = scaled + scaled * (error - tl.fma(a, a, -square))
    result = lamina_scaled_exp(-square, factor, 0)
    small = (1.0 - x) - x * lamina_erf_excess(x * x)
    large = tl.where(x < 0.0, 2.0 - result, result)
    return tl.where(a < 0.65, small, large)


# |x|^y in double arithmetic, rounded once. log2 m = s P(s^2), s = (m - 1)/(m + 1), degree 11, error 2^-43.5;
# 2^r on [-1/2, 1/2] degree 7, error 2^-34.5.
@triton.jit
def lamina_magnitude_power(a, y):
    g, e = lamina_reduce_log(a)
    f = g.to(tl.float64)
    s = f / (2.0 + f)
    square = s * s
    series = (
        square
        * (
            square
            * (square * (square * (square * (0.2829023787009511) + 0.3199055528355584) + 0.4122092555402568) + 0.5770779423370219)
            + 0.9617966941134578
        )
        + 2.8853900817778495
    )
    logarithm = s * series + e.to(tl.float64)
    upper = tl.where(a < float("inf"), logarithm, a.to(tl.float64))
    z = y * tl.where(a == 0.0, float("-inf"), upper)
    above = tl.where(z < -160.0, -160.0, z)
    between = tl.where(above > 140.0, 140.0, above)
    biased = between + 6755399441055744.0
    r = between - (biased - 6755399441055744.0)
    p = (
        r
        * (
            r
            * (
                r
                * (
                    r
                    * (
                        r * (r * (r * (1.5201927224023933e-05) + 0.00015469291149551787) + 0.00133339225399727)
                        + 0.009618027253668048
                    )
                    + 0.055504103534741146
                )
                + 0.24022651198157544
            )
            + 0.6931471807284417
        )
        + 0.9999999999616818
    )
    power = ((biased.to(tl.int64, bitcast=True) + 1023) << 52).to(tl.float64, bitcast=True)
    result = (p * power).to(tl.float32)
    return tl.where((a == 1.0) | (y == 0.0), 1.0, result)


# x^y as C's pow: 1 for y = 0 or x = 1 even beside NaN; a finite negative x has only integer powers.
@triton.jit
def lamina_power(x, y):
    y = tl.zeros_like(x) + y  # of the shape and precision of x, where it is a constant
    whole = tl.floor(y) == y
    odd = whole & (2.0 * tl.floor(0.5 * y) != y)
    magnitude = lamina_magnitude_power(tl.abs(x), y.to(tl.float64))
    result = tl.where(odd & (x.to(tl.int32, bitcast=True) < 0), -magnitude, magnitude)
    undefined = (x < 0.0) & (x > float("-inf")) & (whole == 0)
    return tl.where(undefined, tl.where(y != y, y, float("nan")), result)


# x^n for n known only at run time; x^0 is 1 even for NaN.
@triton.jit
def lamina_integer_power(x, n):
    magnitude = lamina_magnitude_power(tl.abs(x), n.to(tl.float64))
    return tl.where(((n & 1) != 0) & (x.to(tl.int32, bitcast=True) < 0), -magnitude, magnitude)


@triton.jit
def lamina_lgamma(x):
    return lamina_lgamma_wide(x.to(tl.float64)).to(tl.float32)


@triton.jit
def lamina_digamma(x):
    return lamina_digamma_wide(x.to(tl.float64)).to(tl.float32)


@triton.jit
def lamina_polygamma(x, n: tl.constexpr):
    return lamina_polygamma_wide(x.to(tl.float64), n).to(tl.float32)
