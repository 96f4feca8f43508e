// What tensors hold and how it becomes what kernels compute with: bf16 and f16, conversions between all dtypes.
#pragma once

#include "math_base.hpp"

namespace lamina {

// Sixteen stored bits; arithmetic is done in float.
struct bf16 {
    uint16_t code;
};
struct f16 {
    uint16_t code;
};

LAMINA_INLINE float to_float(bf16 x) { return from_bits(uint32_t(x.code) << 16); }

// Round to nearest even; NaN stays a (quiet) NaN of the same sign.
LAMINA_INLINE bf16 to_bf16(float x) {
    const uint32_t u = bits(x);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const uint32_t quiet = (u >> 16) | 0x40u;
    return bf16{uint16_t(select((u & 0x7fffffffu) > 0x7f800000u, quiet, rounded))};
}

LAMINA_INLINE float to_float(f16 x) {
    const uint32_t magnitude = x.code & 0x7fffu;
    const uint32_t sign = uint32_t(x.code & 0x8000u) << 16;
    const uint32_t normal = (magnitude << 13) + (magnitude < 0x7c00u ? 112u << 23 : 224u << 23);
    const uint32_t denormal = bits(float(int32_t(magnitude)) * 0x1p-24f);
    return from_bits(select(magnitude < 0x400u, denormal, normal) | sign);
}

// Round to nearest even, denormals right, overflow to infinity from 65520 on; NaN stays a (quiet) NaN of the same sign.
LAMINA_INLINE f16 to_f16(float x) {
    const uint32_t u = bits(x);
    const uint32_t magnitude = u & 0x7fffffffu;
    const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
    const uint32_t denormal = bits(from_bits(magnitude) + 0.5f) - bits(0.5f);  // the addition rounds to the multiples of 2^-24
    const uint32_t finite = select(magnitude < 0x38800000u, denormal, normal);
    const uint32_t infinite = magnitude > 0x7f800000u ? 0x7e00u | ((u >> 13) & 0x3ffu) : 0x7c00u;
    return f16{uint16_t(select(magnitude < 0x47800000u, finite, infinite) | ((u >> 16) & 0x8000u))};
}

// ------------------------------------------------------------------------------------------------ conversion

template <class A, class B>
constexpr bool same_type = false;
template <class A>
constexpr bool same_type<A, A> = true;

template <class T>
constexpr bool is_half = same_type<T, bf16> || same_type<T, f16>;

// To bool: x != 0. Floating to integer: towards zero (undefined outside the range, nothing saturates). From float64 to a half by
// way of float32. Else as the language converts.
template <class To, class From>
LAMINA_INLINE To convert(From x) {
    if constexpr (same_type<To, From>) {
        return x;
    } else if constexpr (is_half<From>) {
        return convert<To>(to_float(x));
    } else if constexpr (same_type<To, bf16>) {
        return to_bf16(float(x));
    } else if constexpr (same_type<To, f16>) {
        return to_f16(float(x));
    } else if constexpr (same_type<To, bool>) {
        return x != From(0);
    } else {
        return To(x);
    }
}

}  // namespace lamina
