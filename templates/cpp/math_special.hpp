// lgamma and its derivatives: digamma, trigamma and polygamma of any order. Scalar code in float64 (loops, branches); the
// float32 functions round its result. Thread safe.
#pragma once

#include "math_base.hpp"

#if defined(__CUDACC__)
#define LAMINA_LGAMMA_R(x, sign) ::lgamma(x)
#elif defined(__has_builtin)
#if __has_builtin(__builtin_lgamma_r)
#define LAMINA_LGAMMA_R __builtin_lgamma_r
#endif
#endif
#ifndef LAMINA_LGAMMA_R
extern "C" double lgamma_r(double, int*) noexcept;
#define LAMINA_LGAMMA_R ::lgamma_r
#endif

namespace lamina {

// log |gamma(x)|; lgamma itself would write the sign to a global variable.
LAMINA_FUNCTION double lgamma(double x) {
    int sign_of_gamma = 0;
    (void)sign_of_gamma;
    return LAMINA_LGAMMA_R(x, &sign_of_gamma);
}

// The derivative of lgamma; at 0 minus infinity (of the sign opposite to the zero's), NaN at negative integers.
//
// x <= 0 is reflected: digamma(x) = digamma(1 - x) - pi / tan(pi x). 2 < x < 10 is brought to 1 < x <= 2 by
// digamma(x) = digamma(x - 1) + 1/(x - 1), and there digamma(x) = (x - root) P(x - 3/2), degree 21, error 2^-55.5, which
// keeps the relative accuracy near the only positive root. From 10 on Stirling's series (Abramowitz and Stegun, 6.3.18), whose
// first term left out is below 1e-17.
LAMINA_FUNCTION double digamma(double x) {
    double result = 0.0;
    if (x <= 0.0) {
        if (x == 0.0) return copy_sign(__builtin_inf(), -x);
        if (x == floor(x)) return __builtin_nan("");
        result = -0x1.921fb54442d18p+1 / __builtin_tan(0x1.921fb54442d18p+1 * (x - round(x)));
        x = 1.0 - x;
    }
    if (x < 10.0) {
        if (x < 1.0) {
            result -= 1.0 / x;
            x += 1.0;
        }
        while (x > 2.0) {
            x -= 1.0;
            result += 1.0 / x;
        }
        const double from_root = (x - 0x1.762d86356be3fp+0) - 0x1.b86a722197829p-54;
        return result + from_root * horner(x - 1.5, 0x1.e6f0cbb873617p-1, -0x1.b1cb63005ee97p-2, 0x1.eca189b8e6da1p-3, -0x1.2feeeb98a7cd8p-3,
                                           0x1.8512e5905d180p-4, -0x1.fb442029cdbf4p-5, 0x1.4de9aa05d3418p-5, -0x1.b9f8b1367959dp-6,
                                           0x1.256475e5ac975p-6, -0x1.86355f6f68797p-7, 0x1.03c00801ba958p-7, -0x1.5a071c746535bp-8,
                                           0x1.cd3e42d157015p-9, -0x1.33661f9073563p-9, 0x1.980fc9c9f0be8p-10, -0x1.1002aaf6255f5p-10,
                                           0x1.7b3b41b0b38cdp-11, -0x1.f99f529bd0771p-12, 0x1.dc8ae08af0fc4p-13, -0x1.3db05b36d9a48p-13,
                                           0x1.104c9d0897b58p-12, -0x1.6b107f71aa124p-13);
    }
    const double z = 1.0 / x / x;
    const double series = z * horner(z, 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12, -3617.0 / 8160);
    return result + (__builtin_log(x) - 0.5 / x - series);
}

// Hurwitz's zeta function, the sum of (x + k)^-s over k >= 0, for x > 0 and an integer s >= 2: terms are summed up to x + k >= 12 + s,
// the rest by Euler and Maclaurin's formula with ten terms.
LAMINA_FUNCTION double hurwitz_zeta(int s, double x) {
    double sum = 0.0;
    for (; x < 12.0 + s; x += 1.0) sum += __builtin_pow(x, -s);
    // B_2j / (2 j)!
    constexpr double bernoulli[] = {0x1.5555555555555p-4,  -0x1.6c16c16c16c17p-10, 0x1.1566abc011567p-15,  -0x1.bbd779334ef0bp-21,
                                    0x1.66a8f2bf70ebep-26, -0x1.22805d644267fp-31, 0x1.d6db2c4e09162p-37,  -0x1.7da4e1f79955cp-42,
                                    0x1.355871d652e9ep-47, -0x1.f57d968caacf1p-53};
    double series = 0.5 + x / (s - 1);
    double factor = s / x;
    for (int j = 0; j < 10; ++j) {
        series += bernoulli[j] * factor;
        factor *= (s + 2 * j + 1) / x * ((s + 2 * j + 2) / x);
    }
    return x == __builtin_inf() ? 0.0 : sum + series * __builtin_pow(x, -s);
}

// The derivative of order n of digamma, n >= 0: (-1)^(n+1) n! zeta(n + 1, x). For x < 0 the terms of zeta left and right of
// the pole next to x are two zeta functions of positive arguments. Infinite at 0 and at negative integers.
LAMINA_FUNCTION double polygamma(int n, double x) {
    if (n == 0) return digamma(x);
    const int s = n + 1;
    double factorial = n % 2 == 0 ? -1.0 : 1.0;
    for (int k = 2; k <= n; ++k) factorial *= k;
    if (x > 0.0) return factorial * hurwitz_zeta(s, x);
    if (x == floor(x)) return factorial * __builtin_inf();
    if (x != x) return x;
    const double left = hurwitz_zeta(s, __builtin_ceil(x) - x) - hurwitz_zeta(s, 1.0 - x);
    const double right = hurwitz_zeta(s, x - floor(x));
    return factorial * (s % 2 == 0 ? right + left : right - left);
}

LAMINA_FUNCTION double trigamma(double x) { return polygamma(1, x); }

LAMINA_FUNCTION float lgamma(float x) { return float(lgamma(double(x))); }
LAMINA_FUNCTION float digamma(float x) { return float(digamma(double(x))); }
LAMINA_FUNCTION float trigamma(float x) { return float(polygamma(1, double(x))); }
LAMINA_FUNCTION float polygamma(int n, float x) { return float(polygamma(n, double(x))); }

}  // namespace lamina
