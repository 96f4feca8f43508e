// Vectors of the processor's width, and index spaces as loops with steps in several tensors: what products and windows are made of.
#pragma once

#include "loops.hpp"

namespace lamina {

#if defined(__AVX512F__)
constexpr int64_t vector_bytes = 64;
#elif defined(__AVX__)
constexpr int64_t vector_bytes = 32;
#else
constexpr int64_t vector_bytes = 16;
#endif

template <class T>
constexpr int64_t lanes_of = vector_bytes / int64_t(sizeof(T));

template <class T>
struct vector_type {
    typedef T type __attribute__((vector_size(vector_bytes), aligned(sizeof(T)), may_alias));
};

template <class T>
using vector_of = typename vector_type<T>::type;

template <int64_t bytes>
struct integer_of_size {
    typedef int32_t type;
};

template <>
struct integer_of_size<8> {
    typedef int64_t type;
};

// The lanes of two vectors that the indices name, those of the second counted on from those of the first.
template <class V, class I>
LAMINA_INLINE V shuffle(V first, V second, I indices) {
#if defined(__clang__)
    constexpr int64_t lanes = sizeof(I) / sizeof(indices[0]);
    V result;
    for (int64_t i = 0; i < lanes; ++i) result[i] = indices[i] < lanes ? first[indices[i]] : second[indices[i] - lanes];
    return result;
#else
    return __builtin_shuffle(first, second, indices);
#endif
}

// The first n lanes, zero in the others; nothing is read beyond them.
template <class T>
LAMINA_INLINE vector_of<T> load_part(const T* from, int64_t n) {
    using vec = vector_of<T>;
    constexpr int64_t lanes = lanes_of<T>;
#if defined(__AVX512F__)
    typedef float floats __attribute__((vector_size(64)));
    typedef double doubles __attribute__((vector_size(64)));
    const uint32_t mask = n >= lanes ? (1u << lanes) - 1 : (1u << n) - 1;
    if constexpr (sizeof(T) == 4)
        return (vec)__builtin_ia32_loadups512_mask(reinterpret_cast<const float*>(from), floats{}, uint16_t(mask));
    else
        return (vec)__builtin_ia32_loadupd512_mask(reinterpret_cast<const double*>(from), doubles{}, uint8_t(mask));
#else
    if (n >= lanes) return *reinterpret_cast<const vec*>(from);
    vec result{};
    for (int64_t i = 0; i < n; ++i) result[i] = from[i];
    return result;
#endif
}

// One loop of an index space, and the steps it takes in the tensors it runs over.
struct axis {
    int64_t length, first, second, third;
};

// The loops of one index space, the last the innermost.
struct axes {
    int64_t count;
    const axis* at;

    int64_t points() const {
        int64_t result = 1;
        for (int64_t i = 0; i < count; ++i) result *= at[i].length;
        return result;
    }
};

// Where one point of the loops lies, by the three steps.
LAMINA_INLINE void locate(axes loops, int64_t point, int64_t* at) {
    at[0] = at[1] = at[2] = 0;
    for (int64_t a = loops.count - 1; a >= 0; --a) {
        const axis loop = loops.at[a];
        const int64_t digit = point % loop.length;
        point /= loop.length;
        at[0] += digit * loop.first, at[1] += digit * loop.second, at[2] += digit * loop.third;
    }
}

}  // namespace lamina
