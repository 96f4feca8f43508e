// The ground that the other math headers stand on: bit casts, exact helpers, and the functions that need no approximation.
// The CUDA target compiles the same headers for its devices (templates/cuda/device.hpp comes first and gives the names used here).
//
// No standard header is included: <cmath> alone would double the time it takes to build a small kernel; the compiler's
// builtins name the same functions. Every function is inlined and free of branches, so that a loop marked `omp simd`
// vectorises through it. Flags expected: -fno-math-errno -fno-trapping-math -ffp-contract=fast, and no -ffast-math.
#pragma once

#if defined(__CUDACC__)
#define LAMINA_INLINE static __device__ __forceinline__
#define LAMINA_FUNCTION static __device__
#define LAMINA_UNROLL _Pragma("unroll")
#else
#include <stdint.h>
#define LAMINA_INLINE static inline __attribute__((always_inline, unused))
#define LAMINA_FUNCTION static inline
#define LAMINA_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__CUDACC__) || defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__aarch64__)
#define LAMINA_HAS_FMA 1
#else
#define LAMINA_HAS_FMA 0
#endif

namespace lamina {

// ------------------------------------------------------------------------------------------------ bits

template <class To, class From>
LAMINA_INLINE To bit_cast(From value) {
    static_assert(sizeof(To) == sizeof(From), "bit_cast needs two types of the same size");
    To result;
    __builtin_memcpy(&result, &value, sizeof(To));
    return result;
}
LAMINA_INLINE uint32_t bits(float x) { return bit_cast<uint32_t>(x); }
LAMINA_INLINE uint64_t bits(double x) { return bit_cast<uint64_t>(x); }
LAMINA_INLINE float from_bits(uint32_t x) { return bit_cast<float>(x); }
LAMINA_INLINE double from_bits(uint64_t x) { return bit_cast<double>(x); }

// 2^n for -127 < n < 128 (float) and -1023 < n < 1024 (double).
LAMINA_INLINE float power_of_two(int32_t n) { return from_bits(uint32_t(n + 127) << 23); }
LAMINA_INLINE double power_of_two(int64_t n) { return from_bits(uint64_t(n + 1023) << 52); }

// Adding and taking off again this number rounds to the nearest integer, ties to even, for |x| < 2^22 and 2^51; the low
// bits of the sum are then the integer itself.
constexpr float round_float = 0x1.8p23f;
constexpr double round_double = 0x1.8p52;

// ------------------------------------------------------------------------------------------------ exact helpers

// c0 + x c1 + x^2 c2 + ...
template <class T>
LAMINA_INLINE T horner(T, T c0) {
    return c0;
}
template <class T, class... Rest>
LAMINA_INLINE T horner(T x, T c0, Rest... rest) {
    return x * horner(x, rest...) + c0;
}

// a b - p, exactly, where p is a * b rounded.
LAMINA_INLINE float product_error(float a, float b, float p) {
#if LAMINA_HAS_FMA
    return __builtin_fmaf(a, b, -p);
#else
    return float(double(a) * double(b) - double(p));
#endif
}

// a b - c, rounded once if there is a fused multiply-add, and else exact before its last addition (Dekker's product, which
// the compiler cannot contract on such a machine).
LAMINA_INLINE double product_minus(double a, double b, double c) {
#if LAMINA_HAS_FMA
    return __builtin_fma(a, b, -c);
#else
    const double p = a * b;
    const double a_shifted = a * 134217729.0, b_shifted = b * 134217729.0;
    const double a_high = a_shifted - (a_shifted - a), b_high = b_shifted - (b_shifted - b);
    const double a_low = a - a_high, b_low = b - b_high;
    const double error = ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low;
    return (p - c) + error;
#endif
}

// ------------------------------------------------------------------------------------------------ without approximation

template <class T>
LAMINA_INLINE T select(bool condition, T a, T b) {
    return condition ? a : b;
}

LAMINA_INLINE float abs(float x) { return __builtin_fabsf(x); }
LAMINA_INLINE double abs(double x) { return __builtin_fabs(x); }
LAMINA_INLINE int32_t abs(int32_t x) { return x < 0 ? -x : x; }
LAMINA_INLINE int64_t abs(int64_t x) { return x < 0 ? -x : x; }

// As torch.sign: 0 for zeros and for NaN.
template <class T>
LAMINA_INLINE T sign(T x) {
    return T(x > T(0)) - T(x < T(0));
}

LAMINA_INLINE float copy_sign(float magnitude, float sign) { return __builtin_copysignf(magnitude, sign); }
LAMINA_INLINE double copy_sign(double magnitude, double sign) { return __builtin_copysign(magnitude, sign); }

LAMINA_INLINE float floor(float x) { return __builtin_floorf(x); }
LAMINA_INLINE double floor(double x) { return __builtin_floor(x); }
LAMINA_INLINE int32_t floor(int32_t x) { return x; }
LAMINA_INLINE int64_t floor(int64_t x) { return x; }

// Half to even (the rounding mode is never changed).
LAMINA_INLINE float round(float x) { return __builtin_rintf(x); }
LAMINA_INLINE double round(double x) { return __builtin_rint(x); }
LAMINA_INLINE int32_t round(int32_t x) { return x; }
LAMINA_INLINE int64_t round(int64_t x) { return x; }

// NaN passes through either argument; of two zeros either may be taken. A NaN in `a` fails the first comparison; only `b` is
// tested for it, so that a constant belongs there (no test is left) and a running maximum in `a` (the test is off its chain).
template <class T>
LAMINA_INLINE T max(T a, T b) {
    const T larger = select(a < b, b, a);
    return select(b != b, b, larger);
}
template <class T>
LAMINA_INLINE T min(T a, T b) {
    const T smaller = select(a > b, b, a);
    return select(b != b, b, smaller);
}
template <class T>
LAMINA_INLINE T clamp(T x, T low, T high) {
    return min(max(x, low), high);
}

LAMINA_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
LAMINA_INLINE double sqrt(double x) { return __builtin_sqrt(x); }
LAMINA_INLINE float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
LAMINA_INLINE double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }

// sqrt(a^2 + b^2) without overflow: the larger times sqrt(1 + ratio^2). An infinite operand gives infinity, beside NaN too.
template <class T>
LAMINA_INLINE T hypot(T a, T b) {
    const T x = abs(a), y = abs(b), infinity = T(__builtin_inf());
    const T large = max(x, y), small = select(x > y, y, x);
    const T ratio = select(large == T(0), T(0), small / large);
    const T result = large * sqrt(T(1) + ratio * ratio);
    return select((x == infinity) | (y == infinity), infinity, result);
}

// x^N as the product of its squares; x^0 is 1 everywhere, NaN included.
template <int64_t N, class T>
LAMINA_INLINE T powi(T x) {
    if constexpr (N < 0) {
        return T(1) / powi<-N>(x);
    } else if constexpr (N == 0) {
        return T(1);
    } else if constexpr (N == 1) {
        return x;
    } else if constexpr (N % 2 == 0) {
        return powi<N / 2>(T(x * x));
    } else {
        return powi<N - 1>(x) * x;
    }
}

// x^n of integers, n >= 0, modulo 2^64.
LAMINA_INLINE int64_t powi(int64_t x, int64_t n) {
    uint64_t result = 1, square = uint64_t(x);
    for (; n > 0; n >>= 1, square *= square) result *= (n & 1) ? square : 1;
    return int64_t(result);
}

// a / b rounded down.
LAMINA_INLINE int64_t floor_divide(int64_t a, int64_t b) {
    const int64_t quotient = a / b;
    return quotient - int64_t((a % b != 0) & ((a < 0) != (b < 0)));
}

// a - b * floor(a / b), and 0 where b is 0.
LAMINA_INLINE int64_t remainder(int64_t a, int64_t b) {
    const int64_t rest = a % (b == 0 ? 1 : b);
    return (rest != 0) & ((rest < 0) != (b < 0)) ? rest + b : rest;
}

// The cardinal B-spline of degree P, which lives on 0 <= t < P + 1 and is 0 elsewhere (NaN stays NaN).
//
// Cox and de Boor's recurrence N_{j,p} = ((t - j) N_{j,p-1} + (j + p + 1 - t) N_{j+1,p-1}) / p from the indicator functions
// of the unit intervals, the divisions left to the end. Only the piece that holds t is not 0, and there every term is
// positive: nothing cancels.
template <int P, class T>
LAMINA_INLINE T bspline(T t) {
    static_assert(P >= 0, "the degree of a B-spline is not negative");
    const T outside = t < T(-1) ? T(-1) : t;  // infinity times the indicator 0 would be NaN
    const T inside = outside > T(P + 1) ? T(P + 1) : outside;
    const T piece = floor(inside);
    if constexpr (P == 0) {  // written so that the compiler sees no branch
        return T((inside >= T(0)) & (inside < T(1))) + (inside - inside);
    }
    T basis[P + 1];
    T reciprocal = T(1);
    LAMINA_UNROLL
    for (int j = 0; j <= P; ++j) basis[j] = T(piece == T(j));
    LAMINA_UNROLL
    for (int p = 1; p <= P; ++p) {
        reciprocal /= T(p);
        LAMINA_UNROLL
        for (int j = 0; j <= P; ++j) {
            if (j > P - p) break;
            basis[j] = (inside - T(j)) * basis[j] + (T(j + p + 1) - inside) * basis[j + 1];
        }
    }
    return basis[0] * reciprocal + (inside - inside);
}

}  // namespace lamina
