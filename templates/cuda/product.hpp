// Matrix products: a block computes a tile of the result, from tiles of the operands in shared memory.
#pragma once

#include "math_base.hpp"

namespace lamina {

// The tile of a block of 256 threads: 64 x 64 results, 4 x 4 a thread, 16 terms at a time.
constexpr int product_tile = 64, product_depth = 16, product_own = 4, product_threads = 256;
// terms that are added up in the kernel's precision before they are added to a float64 total
constexpr int product_terms = 256;

// store(m, n, sum over begin <= k < end of left(m)(k) * right(n)(k)) for the block's tile of an m_count x n_count result.
//
// `left` and `right` give, for a row (of the result, or of its transpose), the function of k that reads or computes an element.
// LeftAlong, RightAlong: whether neighbouring k are neighbours in memory, and so taken by neighbouring threads; else rows are.
template <class Real, bool LeftAlong, bool RightAlong, class Left, class Right, class Store>
LAMINA_FUNCTION void block_product(const int64_t m_first, const int64_t n_first, const int64_t m_count, const int64_t n_count,
                                   const int64_t begin, const int64_t end, const Left left, const Right right, const Store store) {
    __shared__ Real left_tile[product_depth][product_tile + 4], right_tile[product_depth][product_tile + 4];
    constexpr int loads = product_tile * product_depth / product_threads;
    const int thread = threadIdx.x, own_m = thread / 16 * product_own, own_n = thread % 16 * product_own;
    double total[product_own][product_own];
    Real part[product_own][product_own];
    LAMINA_UNROLL
    for (int i = 0; i < product_own; ++i) {
        LAMINA_UNROLL
        for (int j = 0; j < product_own; ++j) total[i][j] = 0, part[i][j] = Real(0);
    }
    int gathered = 0;
    for (int64_t first = begin; first < end; first += product_depth) {
        LAMINA_UNROLL
        for (int load = 0; load < loads; ++load) {
            const int place = thread + load * product_threads;
            {
                const int k = LeftAlong ? place % product_depth : place / product_tile;
                const int row = LeftAlong ? place / product_depth : place % product_tile;
                left_tile[k][row] = m_first + row < m_count && first + k < end ? Real(left(m_first + row)(first + k)) : Real(0);
            }
            {
                const int k = RightAlong ? place % product_depth : place / product_tile;
                const int row = RightAlong ? place / product_depth : place % product_tile;
                right_tile[k][row] = n_first + row < n_count && first + k < end ? Real(right(n_first + row)(first + k)) : Real(0);
            }
        }
        __syncthreads();
        LAMINA_UNROLL
        for (int k = 0; k < product_depth; ++k) {
            Real own_left[product_own], own_right[product_own];
            LAMINA_UNROLL
            for (int i = 0; i < product_own; ++i) own_left[i] = left_tile[k][own_m + i], own_right[i] = right_tile[k][own_n + i];
            LAMINA_UNROLL
            for (int i = 0; i < product_own; ++i) {
                LAMINA_UNROLL
                for (int j = 0; j < product_own; ++j) part[i][j] += own_left[i] * own_right[j];
            }
        }
        gathered += product_depth;
        if (gathered >= product_terms) {
            gathered = 0;
            LAMINA_UNROLL
            for (int i = 0; i < product_own; ++i) {
                LAMINA_UNROLL
                for (int j = 0; j < product_own; ++j) total[i][j] += double(part[i][j]), part[i][j] = Real(0);
            }
        }
        __syncthreads();
    }
    LAMINA_UNROLL
    for (int i = 0; i < product_own; ++i) {
        LAMINA_UNROLL
        for (int j = 0; j < product_own; ++j) {
            const int64_t m = m_first + own_m + i, n = n_first + own_n + j;
            if (m < m_count && n < n_count) store(m, n, total[i][j] + double(part[i][j]));
        }
    }
}

}  // namespace lamina
