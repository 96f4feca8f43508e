// The scalar functions of the language in float64: the C library's where it has them (called by way of the compiler's builtins),
// and what it lacks. These are calls, so a float64 loop vectorises only around them.
#pragma once

#include "math_base.hpp"

namespace lamina {

LAMINA_INLINE double exp(double x) { return __builtin_exp(x); }
LAMINA_INLINE double exp2(double x) { return __builtin_exp2(x); }
LAMINA_INLINE double expm1(double x) { return __builtin_expm1(x); }
LAMINA_INLINE double log(double x) { return __builtin_log(x); }
LAMINA_INLINE double log2(double x) { return __builtin_log2(x); }
LAMINA_INLINE double log1p(double x) { return __builtin_log1p(x); }
LAMINA_INLINE double sin(double x) { return __builtin_sin(x); }
LAMINA_INLINE double cos(double x) { return __builtin_cos(x); }
LAMINA_INLINE double tan(double x) { return __builtin_tan(x); }
LAMINA_INLINE double tanh(double x) { return __builtin_tanh(x); }
LAMINA_INLINE double sinh(double x) { return __builtin_sinh(x); }
LAMINA_INLINE double cosh(double x) { return __builtin_cosh(x); }
LAMINA_INLINE double asinh(double x) { return __builtin_asinh(x); }
LAMINA_INLINE double acosh(double x) { return __builtin_acosh(x); }
LAMINA_INLINE double atanh(double x) { return __builtin_atanh(x); }
LAMINA_INLINE double atan(double x) { return __builtin_atan(x); }
LAMINA_INLINE double atan2(double y, double x) { return __builtin_atan2(y, x); }
LAMINA_INLINE double asin(double x) { return __builtin_asin(x); }
LAMINA_INLINE double acos(double x) { return __builtin_acos(x); }
LAMINA_INLINE double erf(double x) { return __builtin_erf(x); }
LAMINA_INLINE double erfc(double x) { return __builtin_erfc(x); }
LAMINA_INLINE double pow(double x, double y) { return __builtin_pow(x, y); }

// x^n for n known only at run time, |n| < 2^53: the C library's pow, which is closer than repeated multiplication; x^0 is 1
// even for NaN.
LAMINA_INLINE double powi(double x, int64_t n) { return __builtin_pow(x, double(n)); }

LAMINA_INLINE double sigmoid(double x) {
    const double t = __builtin_exp(-abs(x));
    return (x < 0.0 ? t : 1.0) / (1.0 + t);
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|)
LAMINA_INLINE double softplus(double x) { return (x < 0.0 ? 0.0 : x) + __builtin_log1p(__builtin_exp(-abs(x))); }

}  // namespace lamina
