// What tensors hold and how it becomes what kernels compute with: bf16 and f16, conversions between all dtypes, streaming stores.
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

// ------------------------------------------------------------------------------------------------ streaming stores

#if defined(__AVX512F__)
constexpr int64_t stream_bytes = 64;
#elif defined(__AVX__)
constexpr int64_t stream_bytes = 32;
#else
constexpr int64_t stream_bytes = 0;
#endif

#if defined(__AVX__)
typedef float stream_vector __attribute__((vector_size(stream_bytes), may_alias));

// Stores past the caches; `target` is aligned to the vector. The intrinsics' header would take longer to read than the kernel to build.
LAMINA_INLINE void stream_store(void* target, stream_vector value) {
#if defined(__clang__)
    __builtin_nontemporal_store(value, static_cast<stream_vector*>(target));
#elif defined(__AVX512F__)
    __builtin_ia32_movntps512(static_cast<float*>(target), value);
#else
    __builtin_ia32_movntps256(static_cast<float*>(target), value);
#endif
}
#endif

// Copies n elements, by streaming stores for the whole vectors of `target`, plainly elsewhere (head, tail, other machines).
// Worth it where the output is larger than the cache and not read again soon; other threads see it after `stream_fence`.
template <class T>
static inline void stream_copy(T* __restrict target, const T* __restrict source, int64_t n) {
    int64_t i = 0;
#if defined(__AVX__)
    constexpr int64_t lanes = stream_bytes / int64_t(sizeof(T));
    const int64_t misaligned = int64_t(reinterpret_cast<uintptr_t>(target) % uintptr_t(stream_bytes));
    if (misaligned % int64_t(sizeof(T)) == 0) {
        const int64_t head = (stream_bytes - misaligned) % stream_bytes / int64_t(sizeof(T));
        for (; i < head && i < n; ++i) target[i] = source[i];
        for (; i + lanes <= n; i += lanes) {
            stream_vector value;
            __builtin_memcpy(&value, source + i, sizeof(value));
            stream_store(target + i, value);
        }
    }
#endif
    for (; i < n; ++i) target[i] = source[i];
}

// To be called once by each thread after its last streaming store.
LAMINA_INLINE void stream_fence() {
#if defined(__AVX__)
    __builtin_ia32_sfence();
#endif
}

}  // namespace lamina
