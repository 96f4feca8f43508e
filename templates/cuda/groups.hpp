// Reductions across the threads of a block. A group is a power of two of neighbouring threads, the same number all over the block;
// every thread of the block calls these. The order of summation depends on the group's size alone.
#pragma once

#include "math_base.hpp"

namespace lamina {

struct by_sum {
    template <class T>
    LAMINA_INLINE T apply(T a, T b) {
        return a + b;
    }
};
struct by_prod {
    template <class T>
    LAMINA_INLINE T apply(T a, T b) {
        return a * b;
    }
};
struct by_max {
    template <class T>
    LAMINA_INLINE T apply(T a, T b) {
        return max(a, b);
    }
};
struct by_min {
    template <class T>
    LAMINA_INLINE T apply(T a, T b) {
        return min(a, b);
    }
};
struct by_any {
    LAMINA_INLINE int64_t apply(int64_t a, int64_t b) { return a | b; }
};
struct by_all {
    LAMINA_INLINE int64_t apply(int64_t a, int64_t b) { return a & b; }
};

// A 64-bit value of each thread of the group, reduced; all of them have the result.
template <class Reduction, class T>
LAMINA_FUNCTION T group_reduce(T value, const int group) {
    static_assert(sizeof(T) == 8, "the totals of reductions have 64 bits");
    __shared__ T warp_values[32];
    const int within = group < warpSize ? group : warpSize;
    for (int step = within / 2; step > 0; step /= 2) value = Reduction::apply(value, __shfl_xor_sync(~0u, value, step, warpSize));
    if (group <= warpSize) return value;
    const int warp = int(threadIdx.x) / warpSize, warps = group / warpSize, first = warp / warps * warps;
    __syncthreads();  // what was there may still be read
    if (threadIdx.x % warpSize == 0) warp_values[warp] = value;
    __syncthreads();
    value = warp_values[first];
    for (int k = 1; k < warps; ++k) value = Reduction::apply(value, warp_values[first + k]);
    return value;
}

// A 64-bit value of each thread, reduced over the threads of the block that have the same place in their groups.
template <class Reduction, class T>
LAMINA_FUNCTION T group_reduce_across(T value, const int group) {
    static_assert(sizeof(T) == 8, "the totals of reductions have 64 bits");
    __shared__ T group_values[1024];
    __syncthreads();
    group_values[threadIdx.x] = value;
    for (int step = int(blockDim.x) / 2; step >= group; step /= 2) {
        __syncthreads();
        if (int(threadIdx.x) < step) group_values[threadIdx.x] = Reduction::apply(group_values[threadIdx.x], group_values[threadIdx.x + step]);
    }
    __syncthreads();
    return group_values[threadIdx.x % group];
}

}  // namespace lamina
