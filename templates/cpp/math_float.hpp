// The scalar functions of the language in float32, branchless, each with its measured error in docs/accuracy.md.
//
// Polynomials are minimax fits (tests/codegen/derive_coefficients.py derives every one of them); the comment above each gives
// its interval and its own error relative to the function. Denormal results are right, unless the caller flushes denormals.
// Infinities and NaN go as in IEEE 754 and C's Annex F; odd functions keep the sign of zero.
#pragma once

#include "math_base.hpp"

namespace lamina {

constexpr float infinity_float = __builtin_inff();
constexpr float nan_float = __builtin_nanf("");

// ------------------------------------------------------------------------------------------------ exponentials

// x = n ln 2 + r + low, |r| <= ln(2)/2, low the rounding error of r, for |x| < 2^10. ln 2 is split after 15 bits, so that n times
// its head is exact with or without a fused multiply-add.
struct reduced_exponent {
    float r, low;
    int32_t n;
};

LAMINA_INLINE reduced_exponent reduce_exp(float x) {
    const float biased = x * 0x1.715476p+0f + round_float;
    const float whole = biased - round_float;
    const float head = x - whole * 0x1.62e4p-1f;
    const float r = head - whole * 0x1.7f7d1cp-20f;
    return {r, (head - r) - whole * 0x1.7f7d1cp-20f, int32_t(bits(biased) - bits(round_float))};
}

// e^(r + low) - 1 = r + r^2 P(r) + low: degree 7, error 2^-31.1.
LAMINA_INLINE float expm1_reduced(reduced_exponent x) {
    const float p = horner(x.r, 0x1p-1f, 0x1.555554p-3f, 0x1.5554f8p-5f, 0x1.1112dcp-7f, 0x1.6d3a3cp-10f, 0x1.9e6978p-13f);
    return (x.r * x.r * p + x.low) + x.r;
}

// 2^Shift factor e^x, with one rounding into the denormal range; 0.5 <= factor <= 2.
template <int Shift>
LAMINA_INLINE float scaled_exp(float x, float factor) {
    const float above = x < -106.0f ? -106.0f : x;  // compares false for NaN, which so passes
    const float between = above > 91.0f ? 91.0f : above;
    const reduced_exponent reduced = reduce_exp(between);
    const int32_t n = int32_t(uint32_t(reduced.n) + uint32_t(Shift));
    const int32_t half = n >> 1;  // 2^n alone may be out of range
    return (expm1_reduced(reduced) * factor + factor) * power_of_two(half) * power_of_two(n - half);
}

// e^x for -87 <= x <= 88.
LAMINA_INLINE float moderate_exp(float x) {
    const reduced_exponent reduced = reduce_exp(x);
    return (expm1_reduced(reduced) + 1.0f) * power_of_two(reduced.n);
}

LAMINA_INLINE float exp(float x) { return scaled_exp<0>(x, 1.0f); }

// 2^r = 1 + r P(r) on [-1/2, 1/2]: degree 6, error 2^-28.3.
LAMINA_INLINE float exp2(float x) {
    const float above = x < -152.0f ? -152.0f : x;
    const float between = above > 129.0f ? 129.0f : above;
    const float biased = between + round_float;
    const float r = between - (biased - round_float);
    const int32_t n = int32_t(bits(biased) - bits(round_float));
    const int32_t half = n >> 1;
    const float p = r * horner(r, 0x1.62e430p-1f, 0x1.ebfbdcp-3f, 0x1.c6af7cp-5f, 0x1.3b2de0p-7f, 0x1.5f082ep-10f, 0x1.416b5ep-13f) + 1.0f;
    return p * power_of_two(half) * power_of_two(n - half);
}

// 2^n (e^r - 1) + (2^n - 1), with n lowered by one on the way since 2^128 is no float.
LAMINA_INLINE float expm1(float x) {
    const float above = x < -20.0f ? -20.0f : x;
    const float between = above > 89.0f ? 89.0f : above;
    const reduced_exponent reduced = reduce_exp(between);
    const float scale = power_of_two(reduced.n - 1);
    const float result = 2.0f * (scale * expm1_reduced(reduced) + (scale - 0.5f));
    return copy_sign(select(abs(x) < 0x1p-25f, x, result), x);
}

// t = e^-|x|, then 1/(1 + t) or t/(1 + t). The rounding error of 1 + t is put right to first order, 1/(1 + t) being close
// enough to a line for that.
LAMINA_INLINE float sigmoid(float x) {
    const float t = scaled_exp<0>(-abs(x), 1.0f);
    const float denominator = 1.0f + t;
    const float error = t - (denominator - 1.0f);
    const float quotient = (x < 0.0f ? t : 1.0f) / denominator;
    return quotient - quotient * (error * (1.46f - 0.5f * denominator));
}

// max(x, 0) + log1p(t), t = e^-|x|; log1p(t) = t + t^2 P(t) on [0, 1]: degree 11, error 2^-30.
LAMINA_INLINE float softplus(float x) {
    const float t = scaled_exp<0>(-abs(x), 1.0f);
    const float p = horner(t, -0x1.fffff8p-2f, 0x1.5553b6p-2f, -0x1.ffc59ep-3f, 0x1.978b56p-3f, -0x1.4a72c6p-3f, 0x1.ff2976p-4f,
                           -0x1.54f2aap-4f, 0x1.5901fap-5f, -0x1.c0a820p-7f, 0x1.113bd4p-9f);
    return (x < 0.0f ? 0.0f : x) + (t * t * p + t);
}

// ------------------------------------------------------------------------------------------------ hyperbolic functions

// |x| < 0.55: x + x^3 P(x^2), degree 11, error 2^-29.7; beyond: 1 - 2/(e^2x + 1), which is 1 from 9.02 on.
LAMINA_INLINE float tanh(float x) {
    const float a = abs(x);
    const float z = x * x;
    const float small = a * z * horner(z, -0x1.55554ap-2f, 0x1.110ceep-3f, -0x1.b91e7ep-5f, 0x1.58e518p-6f, -0x1.9921a2p-8f) + a;
    const float bounded = a > 10.0f ? 10.0f : a;
    const float large = 1.0f - 2.0f / (moderate_exp(2.0f * bounded) + 1.0f);
    return copy_sign(select(a < 0.55f, small, large), x);
}

// |x| < 1: x + x^3 P(x^2), degree 9, error 2^-31.6.
LAMINA_INLINE float sinh(float x) {
    const float a = abs(x);
    const float z = x * x;
    const float small = a * z * horner(z, 0x1.555556p-3f, 0x1.1110e0p-7f, 0x1.a022bcp-13f, 0x1.756c1ep-19f) + a;
    const float half = scaled_exp<-1>(a, 1.0f);
    return copy_sign(a < 1.0f ? small : half - 0.25f / half, x);
}

LAMINA_INLINE float cosh(float x) {
    const float half = scaled_exp<-1>(abs(x), 1.0f);
    return half + 0.25f / half;
}

// ------------------------------------------------------------------------------------------------ logarithms

// x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), f exact, for finite x > 0 (anything else gives some finite f and e).
LAMINA_INLINE float reduce_log(float x, int32_t& e) {
    const bool denormal = x < 0x1p-126f;
    const uint32_t shifted = bits(denormal ? x * 0x1p24f : x) - 0x3f3504f3u;
    e = (int32_t(shifted) >> 23) - (denormal ? 24 : 0);
    return from_bits((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
}

// log(1 + f) - f = -f^2/2 + f^3 P(f) for 1 + f in [sqrt(1/2), sqrt(2)]: degree 11, error 2^-30.3 of log(1 + f).
LAMINA_INLINE float log1p_reduced(float f) {
    const float p = horner(f, 0x1.555548p-2f, -0x1.000006p-2f, 0x1.99a476p-3f, -0x1.555c44p-3f, 0x1.233ba2p-3f, -0x1.fc28c8p-4f,
                           0x1.e6c00ap-4f, -0x1.de0204p-4f, 0x1.147382p-4f);
    return f * f * (f * p - 0.5f);
}

// e ln 2 + log(1 + f); the head of ln 2 has 15 bits, so that its product is exact.
LAMINA_INLINE float combine_log(int32_t e, float f) {
    const float exponent = float(e);
    return exponent * 0x1.62e4p-1f + (f + (exponent * 0x1.7f7d1cp-20f + log1p_reduced(f)));
}

// The value of a logarithm where its argument is 0, negative, infinite or NaN.
LAMINA_INLINE float finish_log(float argument, float result) {
    const float upper = select(argument < infinity_float, result, argument);
    const float lower = select(argument < 0.0f, nan_float, upper);
    return argument == 0.0f ? -infinity_float : lower;
}

LAMINA_INLINE float log(float x) {
    int32_t e;
    const float f = reduce_log(x, e);
    return finish_log(x, combine_log(e, f));
}

LAMINA_INLINE float log2(float x) {
    int32_t e;
    const float f = reduce_log(x, e);
    const float high = f * 0x1.715476p+0f;  // log2(e) = 0x1.715476p+0 + 0x1.4ae0cp-26
    const float low = product_error(f, 0x1.715476p+0f, high) + (f * 0x1.4ae0c0p-26f + log1p_reduced(f) * 0x1.715476p+0f);
    return finish_log(x, float(e) + (high + low));
}

// 2^extra (u + low) with |low| below an ulp of u: its logarithm, to the accuracy of log.
LAMINA_INLINE float log_of_sum(float u, float low, int32_t extra) {
    int32_t e;
    const float f = reduce_log(u, e);
    const float scale = from_bits(uint32_t(127 - (e > 127 ? 127 : e)) << 23);  // 2^-e; the low part of so large a u does not count
    return finish_log(u, combine_log(e + extra, f + low * scale));
}

// The rounding error of 1 + x is carried along (Knuth's exact sum).
LAMINA_INLINE float log1p(float x) {
    const float u = 1.0f + x;
    const float rounded = u - 1.0f;
    const float low = (1.0f - (u - rounded)) + (x - rounded);
    return copy_sign(log_of_sum(u, low, 0), x);
}

// log1p(a + a^2/(1 + sqrt(1 + a^2))); above 2^12, log(a) + ln 2.
LAMINA_INLINE float asinh(float x) {
    const float a = abs(x);
    const bool large = a > 4096.0f;
    const float w = a + a * a / (1.0f + __builtin_sqrtf(a * a + 1.0f));
    const float u = 1.0f + w;
    const float rounded = u - 1.0f;
    const float low = (1.0f - (u - rounded)) + (w - rounded);
    return copy_sign(log_of_sum(select(large, a, u), large ? 0.0f : low, large ? 1 : 0), x);
}

// log1p(t + sqrt(2 t + t^2)), t = x - 1; above 2^12, log(x) + ln 2.
LAMINA_INLINE float acosh(float x) {
    const float t = x - 1.0f;
    const bool large = x > 4096.0f;
    const float w = t + __builtin_sqrtf(t * (t + 2.0f));
    const float u = 1.0f + w;
    const float rounded = u - 1.0f;
    const float low = (1.0f - (u - rounded)) + (w - rounded);
    const float result = log_of_sum(select(large, x, u), large ? 0.0f : low, large ? 1 : 0);
    return select(x < 1.0f, nan_float, result);
}

LAMINA_INLINE float atanh(float x) {
    const float a = abs(x);
    return copy_sign(0.5f * log1p(2.0f * a / (1.0f - a)), x);
}

// ------------------------------------------------------------------------------------------------ trigonometric functions

// a = (quarters + remainder) pi/2 for every finite a >= 0, |remainder| <= 1/2 or so, quarters modulo 2^32; the result is remainder pi/2.
//
// 2/pi is taken as two doubles (106 bits), out of five such pairs by the magnitude of a: the bits whose product with any float that
// large is a multiple of 4 are left out (Payne and Hanek's idea, with comparisons for a table). The remainder's error is below 2^-55.
LAMINA_INLINE float reduce_quarters(float a, uint32_t& quarters) {
    const double high = a < 0x1p48f ? 0x1.45f306dc9c883p-1 : a < 0x1p70f ? 0x1.6e4e441529fc2p-24 : a < 0x1p92f ? 0x1.054a7f09d5f48p-46
                      : a < 0x1p114f ? 0x1.c2757d1f534dep-68 : 0x1.47d4d377036d9p-90;
    const double low = a < 0x1p48f ? -0x1.6b01ec5417056p-55 : a < 0x1p70f ? 0x1.d5f47d4d37703p-78 : a < 0x1p92f ? -0x1.596447e493ad5p-101
                     : a < 0x1p114f ? -0x1.f924eb53361dep-123 : -0x1.6a66c3bc6fbe0p-144;
    const double biased = double(a) * high + round_double;
    quarters = uint32_t(bits(biased));
    const double remainder = product_minus(double(a), high, biased - round_double) + double(a) * low;
    return float(remainder * 0x1.921fb54442d18p+0);
}

// The sine of quarters pi/2 + r, |r| <= 0.795. sin r = r + r^3 P(r^2): degree 7, error 2^-27.8;
// cos r = 1 - r^2/2 + r^4 P(r^2): degree 8, error 2^-32.6.
LAMINA_INLINE float sin_of_quarters(uint32_t quarters, float r) {
    const float z = r * r;
    const float sine = r * z * horner(z, -0x1.555544p-3f, 0x1.1106c2p-7f, -0x1.9919e0p-13f) + r;
    const float cosine = z * z * horner(z, 0x1.55554ap-5f, -0x1.6c0c0ep-10f, 0x1.99db8ep-16f) + (1.0f - 0.5f * z);
    return from_bits(bits(select((quarters & 1u) != 0u, cosine, sine)) ^ ((quarters & 2u) << 30));
}

LAMINA_INLINE float sin(float x) {
    uint32_t quarters;
    const float r = reduce_quarters(abs(x), quarters);
    return from_bits(bits(sin_of_quarters(quarters, r)) ^ (bits(x) & 0x80000000u));
}

LAMINA_INLINE float cos(float x) {
    uint32_t quarters;
    const float r = reduce_quarters(abs(x), quarters);
    return sin_of_quarters(quarters + 1u, r);
}

// tan r = r + r^3 P(r^2) for |r| <= 0.795: degree 15, error 2^-29.2; in odd quarters -1/tan r.
LAMINA_INLINE float tan(float x) {
    uint32_t quarters;
    const float r = reduce_quarters(abs(x), quarters);
    const float z = r * r;
    const float t = r * z * horner(z, 0x1.555562p-2f, 0x1.110d06p-3f, 0x1.baf64ep-5f, 0x1.5b8d6ap-6f, 0x1.693982p-7f, -0x1.49c0acp-13f,
                                   0x1.2703d0p-8f) + r;
    const float result = (quarters & 1u) != 0u ? -1.0f / t : t;
    return from_bits(bits(result) ^ (bits(x) & 0x80000000u));
}

constexpr float pi_high = 0x1.921fb6p+1f;
constexpr float pi_low = -0x1.777a5cp-24f;

// atan t = t + t^3 P(t^2) on [0, 1]: degree 19, error 2^-28.5.
LAMINA_INLINE float atan_reduced(float t) {
    const float z = t * t;
    return t * z * horner(z, -0x1.55553ep-2f, 0x1.9991e4p-3f, -0x1.242086p-3f, 0x1.c08c50p-4f, -0x1.580930p-4f, 0x1.da2aa0p-5f,
                          -0x1.fd8004p-6f, 0x1.6427e2p-7f, -0x1.d36160p-10f) + t;
}

LAMINA_INLINE float atan(float x) {
    const float a = abs(x);
    const bool inverted = a > 1.0f;
    const float t = atan_reduced(inverted ? 1.0f / a : a);
    return copy_sign(inverted ? 0.5f * pi_high - (t - 0.5f * pi_low) : t, x);
}

LAMINA_INLINE float atan2(float y, float x) {
    const float a = abs(x), b = abs(y);
    const bool steep = b > a;
    const float numerator = select(steep, a, b);
    const float denominator = select(steep, b, a);
    const float ratio = denominator == 0.0f ? 0.0f : numerator == infinity_float ? 1.0f : numerator / denominator;
    const float first = atan_reduced(ratio);
    const float octant = steep ? 0.5f * pi_high - (first - 0.5f * pi_low) : first;
    const bool left = (bits(x) & 0x80000000u) != 0u;
    const float result = left ? pi_high - (octant - pi_low) : octant;
    return (x != x) | (y != y) ? x + y : copy_sign(result, y);
}

// asin x = x + x^3 P(x^2) on [0, 1/2]: degree 13, error 2^-31.7.
LAMINA_INLINE float asin_reduced(float x, float z) {
    return x * z * horner(z, 0x1.55554cp-3f, 0x1.3338acp-4f, 0x1.6ca754p-5f, 0x1.04d2e4p-5f, 0x1.d52368p-7f, 0x1.34c51cp-5f) + x;
}

// Above 1/2, pi/2 - 2 asin(sqrt((1 - x)/2)).
LAMINA_INLINE float asin(float x) {
    const float a = abs(x);
    const bool large = a > 0.5f;
    const float z = large ? 0.5f - 0.5f * a : a * a;
    const float t = asin_reduced(large ? __builtin_sqrtf(z) : a, z);
    return copy_sign(large ? 0.5f * pi_high - (2.0f * t - 0.5f * pi_low) : t, x);
}

LAMINA_INLINE float acos(float x) {
    const float a = abs(x);
    const bool large = a > 0.5f;
    const float z = large ? 0.5f - 0.5f * a : a * a;
    const float t = asin_reduced(large ? __builtin_sqrtf(z) : a, z);
    const float side = copy_sign(t, x);
    const float middle = 0.5f * pi_high - (side - 0.5f * pi_low);
    const float end = x < 0.0f ? pi_high - (2.0f * t - pi_low) : 2.0f * t;
    return select(large, end, middle);
}

// ------------------------------------------------------------------------------------------------ error function

// erf x = x + x P(x^2) for |x| <= 1: degree 13, error 2^-29.4. The result is P.
LAMINA_INLINE float erf_excess(float z) {
    return horner(z, 0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2ce6p-4f, -0x1.b7f71ap-6f, 0x1.53f224p-8f, -0x1.a3515ep-11f, 0x1.4771fcp-14f);
}

// |x| < 1 as above; beyond, 1 - exp(P(|x|)), degree 6, error 2^-29.8, which is 1 from 3.93 on.
LAMINA_INLINE float erf(float x) {
    const float a = abs(x);
    const float small = a * erf_excess(x * x) + a;
    const float bounded = a > 4.0f ? 4.0f : a;
    const float exponent = horner(bounded, -0x1.661d84p-12f, -0x1.2088eap+0f, -0x1.46baf0p-1f, -0x1.a65318p-4f, 0x1.65cb0ep-6f,
                                  -0x1.8259f8p-9f, 0x1.86db8cp-13f);
    const float large = 1.0f - moderate_exp(exponent);
    return copy_sign(select(a < 1.0f, small, large), x);
}

// erfc a = e^(-a^2) P(t) / (a + 4), t = (a - 4)/(a + 4), for 0 <= a <= 10.1: degree 10, error 2^-28.1; erfc is 0 beyond. The
// relative errors of 1/(a + 4) and of e^(-a^2) are carried along. Below 0.65, 1 - erf x.
LAMINA_INLINE float erfc(float x) {
    const float a = abs(x) > 10.1f ? 10.1f : abs(x);
    const float denominator = a + 4.0f;
    const float reciprocal = 1.0f / denominator;
    const float product = denominator * reciprocal;
    const float residual = (1.0f - product) - product_error(denominator, reciprocal, product);
    const float error = residual - (a - (denominator - 4.0f)) * reciprocal;
    const float t = (1.0f - 8.0f * reciprocal) - 8.0f * reciprocal * error;
    const float p = horner(t, 0x1.18932cp+0f, -0x1.f3fe32p-1f, 0x1.8be1f8p-1f, -0x1.14eac4p-1f, 0x1.52cc12p-2f, -0x1.646214p-3f,
                           0x1.38bacep-4f, -0x1.af9476p-6f, 0x1.989c70p-8f, -0x1.4d1b18p-12f, -0x1.7ab4fap-11f);
    const float square = a * a;
    const float scaled = p * reciprocal;
    const float factor = scaled + scaled * (error - product_error(a, a, square));
    const float result = scaled_exp<0>(-square, factor);
    const float small = (1.0f - x) - x * erf_excess(x * x);
    const float large = x < 0.0f ? 2.0f - result : result;
    return select(a < 0.65f, small, large);
}

// ------------------------------------------------------------------------------------------------ powers

// |x|^y in double arithmetic, so that the product y log2|x| keeps the bits the result needs, rounded once to float.
// log2 m = s P(s^2), s = (m - 1)/(m + 1), degree 11, error 2^-43.5; 2^r on [-1/2, 1/2] degree 7, error 2^-34.5.
LAMINA_INLINE float magnitude_power(float a, double y) {
    int32_t e;
    const double f = double(reduce_log(a, e));
    const double s = f / (2.0 + f);
    const double logarithm = s * horner(s * s, 0x1.71547652b8250p+1, 0x1.ec709dc53c86fp-1, 0x1.2776c29329351p-1, 0x1.a61a2ede9d9a8p-2,
                                        0x1.4795523cf3395p-2, 0x1.21b12941ecbd9p-2) + double(e);
    const double upper = a < infinity_float ? logarithm : double(a);
    const double z = y * (a == 0.0f ? -double(infinity_float) : upper);
    const double above = z < -160.0 ? -160.0 : z;
    const double between = above > 140.0 ? 140.0 : above;
    const double biased = between + round_double;
    const double r = between - (biased - round_double);
    const double p = horner(r, 0x1.ffffffffabbccp-1, 0x1.62e42ff116260p-1, 0x1.ebfbe0a4be809p-3, 0x1.c6b08aaf37635p-5, 0x1.3b29dc40d6559p-7,
                            0x1.5d8a707ea033ep-10, 0x1.446a1fdd90249p-13, 0x1.fe178f7eadaecp-17);
    const float result = float(p * from_bits((bits(biased) + 1023u) << 52));
    return (a == 1.0f) | (y == 0.0) ? 1.0f : result;
}

// x^y as C's pow: 1 for y = 0 or x = 1 even beside NaN; a finite negative x has only integer powers.
LAMINA_INLINE float pow(float x, float y) {
    const bool integer = __builtin_floorf(y) == y;
    const bool odd = integer & (2.0f * __builtin_floorf(0.5f * y) != y);
    const float magnitude = magnitude_power(abs(x), double(y));
    const float result = from_bits(bits(magnitude) ^ (odd ? bits(x) & 0x80000000u : 0u));
    return (x < 0.0f) & (x > -infinity_float) & !integer ? select(y != y, y, nan_float) : result;
}

// x^n for n known only at run time: rounded from the exact product, up to 0.51 ulp; x^0 is 1 even for NaN.
LAMINA_INLINE float powi(float x, int64_t n) {
    const float magnitude = magnitude_power(abs(x), double(n));
    return from_bits(bits(magnitude) ^ ((n & 1) != 0 ? bits(x) & 0x80000000u : 0u));
}

}  // namespace lamina
