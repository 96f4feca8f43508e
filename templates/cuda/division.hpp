// Division of indices by lengths that are known at the launch: a product and a shift in place of a call.
#pragma once

#include "math_base.hpp"

namespace lamina {

// A length d of at least 1, with 2^s >= d > 2^(s-1) and multiplier = floor(2^(63+s) / d) + 1 modulo 2^64: for 0 <= a < 2^63 the upper
// half of 2 a multiplier, shifted by s, is a / d rounded down (Granlund and Montgomery, PLDI 1994). The launch works these out.
struct divisor {
    int64_t length, multiplier, shift;
};

LAMINA_INLINE int64_t operator/(int64_t a, const divisor& d) {
#if defined(__CUDACC__)
    return int64_t(__umul64hi(uint64_t(a) << 1, uint64_t(d.multiplier)) >> d.shift);
#else
    typedef unsigned __int128 wide;
    return int64_t(uint64_t(wide(uint64_t(a) << 1) * uint64_t(d.multiplier) >> 64) >> d.shift);
#endif
}
LAMINA_INLINE int64_t operator%(int64_t a, const divisor& d) { return a - a / d * d.length; }

}  // namespace lamina
