// Indices: brought inside their dimensions, and the stretch of a loop in which they are inside.
#pragma once

#include "math_base.hpp"

namespace lamina {

LAMINA_INLINE int64_t at_least_one(int64_t n) { return n < 1 ? 1 : n; }

// An index into 0..n-1: whether it is inside, and what stands for it where it is not. Of a dimension that is empty nothing is read.
LAMINA_INLINE bool inside(int64_t index, int64_t n) { return uint64_t(index) < uint64_t(n); }

// Narrows begin..end to those v for which index + step * v is inside 0..n-1; where there is none, to nothing.
LAMINA_INLINE void narrow(int64_t& begin, int64_t& end, int64_t index, int64_t step, int64_t n) {
    const int64_t first = step > 0 ? -floor_divide(index, step) : floor_divide(index - n, -step) + 1;
    const int64_t past = step > 0 ? -floor_divide(index - n, step) : floor_divide(index, -step) + 1;
    begin = first > begin ? (first < end ? first : end) : begin;
    end = past < end ? (past > begin ? past : begin) : end;
}

LAMINA_INLINE int64_t clamp(int64_t index, int64_t n) { return index < 0 ? 0 : index >= n ? n - 1 : index; }

LAMINA_INLINE int64_t wrap(int64_t index, int64_t n) {
    const int64_t remainder = inside(index, n) ? index : index % at_least_one(n);
    return remainder < 0 ? remainder + n : remainder;
}

// Without repeating the ends: -1 is 1, n is n - 2.
LAMINA_INLINE int64_t reflect(int64_t index, int64_t n) {
    const int64_t once = wrap(index, 2 * (n - 1));
    return n < 2 ? 0 : once >= n ? 2 * (n - 1) - once : once;
}

}  // namespace lamina
