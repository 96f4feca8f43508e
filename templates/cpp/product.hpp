// Matrix products for contractions: blocked, packed, threaded. In the manner of Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication" (ACM TOMS 34(3), 2008): panels of both operands are copied so that the innermost kernel reads memory in order.
#pragma once

#include "loops.hpp"

namespace lamina {

#if defined(__AVX512F__)
constexpr int64_t vector_bytes = 64, tile_rows = 8, tile_vectors = 3;  // 24 of 32 registers hold the tile
#elif defined(__AVX__)
constexpr int64_t vector_bytes = 32, tile_rows = 4, tile_vectors = 3;  // 12 of 16
#else
constexpr int64_t vector_bytes = 16, tile_rows = 4, tile_vectors = 2;
#endif
constexpr int64_t block_depth = 384;     // a panel of the right operand, tile_columns wide, stays in the first cache
constexpr int64_t block_rows = 96;       // a block of the left operand stays in the second
constexpr int64_t block_columns = 768;   // of the right operand in the third; a multiple of every tile width

template <class T>
struct tile {
    static constexpr int64_t lanes = vector_bytes / int64_t(sizeof(T));
    static constexpr int64_t columns = tile_vectors * lanes;
    typedef T vec __attribute__((vector_size(vector_bytes), aligned(sizeof(T)), may_alias));
};

// A matrix as it is stored: element (i, j) is at[i * row + j * column].
template <class T>
struct strided {
    const T* at;
    int64_t row, column;
};

// result[tile_rows][columns] (+)= a[depth][tile_rows]^T * b[depth][columns]
template <class T>
static inline void multiply_tile(int64_t depth, const T* __restrict a, const T* __restrict b, T* __restrict result, int64_t stride,
                                 bool accumulate) {
    using vec = typename tile<T>::vec;
    constexpr int64_t lanes = tile<T>::lanes, columns = tile<T>::columns;
    vec sum[tile_rows][tile_vectors];
    for (int64_t i = 0; i < tile_rows; ++i)
        for (int64_t j = 0; j < tile_vectors; ++j) sum[i][j] = vec{};
    for (int64_t l = 0; l < depth; ++l) {
        vec right[tile_vectors];
#pragma GCC unroll 4
        for (int64_t j = 0; j < tile_vectors; ++j) right[j] = *reinterpret_cast<const vec*>(b + l * columns + j * lanes);
#pragma GCC unroll 8
        for (int64_t i = 0; i < tile_rows; ++i) {
            const vec left = a[l * tile_rows + i] - vec{};
#pragma GCC unroll 4
            for (int64_t j = 0; j < tile_vectors; ++j) sum[i][j] += left * right[j];
        }
    }
    for (int64_t i = 0; i < tile_rows; ++i)
        for (int64_t j = 0; j < tile_vectors; ++j) {
            vec* place = reinterpret_cast<vec*>(result + i * stride + j * lanes);
            *place = accumulate ? *place + sum[i][j] : sum[i][j];
        }
}

// Copies `count` rows or columns (step `along`) by `depth` (step `across`) to panels of `width`, filled up with zeros.
template <class T, int64_t width>
static inline void pack_panel(const T* __restrict from, int64_t along, int64_t across, int64_t count, int64_t depth, T* __restrict to) {
    if (along == 1 && count == width) {
        for (int64_t l = 0; l < depth; ++l)
            for (int64_t i = 0; i < width; ++i) to[l * width + i] = from[l * across + i];
        return;
    }
    for (int64_t i = 0; i < count; ++i)
        for (int64_t l = 0; l < depth; ++l) to[l * width + i] = from[i * along + l * across];
    for (int64_t i = count; i < width; ++i)
        for (int64_t l = 0; l < depth; ++l) to[l * width + i] = T(0);
}

// rows x columns of one block, from packed panels; what sticks out of a full tile goes through a buffer.
template <class T>
static inline void multiply_block(int64_t rows, int64_t columns, int64_t depth, const T* a, const T* b, T* result, int64_t stride,
                                  bool accumulate) {
    constexpr int64_t width = tile<T>::columns;
    for (int64_t j = 0; j < columns; j += width)
        for (int64_t i = 0; i < rows; i += tile_rows) {
            const int64_t height = min(tile_rows, rows - i), breadth = min(width, columns - j);
            T* target = result + i * stride + j;
            if (height == tile_rows && breadth == width) {
                multiply_tile(depth, a + i * depth, b + j * depth, target, stride, accumulate);
                continue;
            }
            T edge[tile_rows * width];
            multiply_tile(depth, a + i * depth, b + j * depth, edge, width, false);
            for (int64_t y = 0; y < height; ++y)
                for (int64_t x = 0; x < breadth; ++x) target[y * stride + x] = (accumulate ? target[y * stride + x] : T(0)) + edge[y * width + x];
        }
}

// result[m][n] (+)= left[m][k] * right[k][n]; the team divides the result into blocks of rows, or of columns where it is wide and low.
template <class T>
static inline void multiply(int64_t threads, T* workspace, int64_t m, int64_t n, int64_t k, strided<T> left, strided<T> right, T* result,
                            bool accumulate) {
    constexpr int64_t width = tile<T>::columns;
    const int64_t team = team_size(threads, (m + tile_rows - 1) / tile_rows * ((n + width - 1) / width), m * n * k / 8);
    T* const packed_right = workspace;
#pragma omp parallel num_threads(team) if (team > 1)
    {
        const int64_t members = omp_get_num_threads(), member = omp_get_thread_num();
        T* const packed_left = workspace + block_depth * (block_columns + member * block_rows);
        for (int64_t column = 0; column < n; column += block_columns) {
            const int64_t columns = min(block_columns, n - column), panels = (columns + width - 1) / width;
            for (int64_t layer = 0; layer < k; layer += block_depth) {
                const int64_t depth = min(block_depth, k - layer);
                for (int64_t panel = panels * member / members; panel < panels * (member + 1) / members; ++panel) {
                    const T* from = right.at + layer * right.row + (column + panel * width) * right.column;
                    pack_panel<T, width>(from, right.column, right.row, min(width, columns - panel * width), depth,
                                         packed_right + panel * width * depth);
                }
#pragma omp barrier
                const bool by_rows = m >= members * tile_rows * 4;
                const int64_t groups = (m + tile_rows - 1) / tile_rows;
                const int64_t top = by_rows ? min(m, groups * member / members * tile_rows) : 0;
                const int64_t bottom = by_rows ? min(m, groups * (member + 1) / members * tile_rows) : m;
                const int64_t near = by_rows ? 0 : min(columns, panels * member / members * width);
                const int64_t far = by_rows ? columns : min(columns, panels * (member + 1) / members * width);
                for (int64_t row = top; row < bottom && near < far; row += block_rows) {
                    const int64_t rows = min(block_rows, bottom - row);
                    for (int64_t i = 0; i < rows; i += tile_rows) {
                        const T* from = left.at + (row + i) * left.row + layer * left.column;
                        pack_panel<T, tile_rows>(from, left.row, left.column, min(tile_rows, rows - i), depth, packed_left + i * depth);
                    }
                    multiply_block(rows, far - near, depth, packed_left, packed_right + near * depth, result + row * n + column + near, n,
                                   accumulate || layer > 0);
                }
#pragma omp barrier
            }
        }
    }
}

// result[b][i][j] (+)= sum over l of left[b][i][l] * right[b][j][l], row-major; a transposed operand is stored with its last two
// dimensions exchanged.
template <class T>
static inline void product(int64_t threads, T* workspace, int64_t batch, int64_t m, int64_t n, int64_t k, const T* left, bool left_transposed,
                           const T* right, bool right_transposed, T* result, bool accumulate) {
    if (k == 0 && !accumulate) fill(result, batch * m * n, T(0));
    if (m == 0 || n == 0 || k == 0) return;
    for (int64_t b = 0; b < batch; ++b) {
        const strided<T> first{left + b * m * k, left_transposed ? 1 : k, left_transposed ? m : 1};
        const strided<T> second{right + b * n * k, right_transposed ? n : 1, right_transposed ? 1 : k};
        multiply(threads, workspace, m, n, k, first, second, result + b * m * n, accumulate);
    }
}

// Adds the results of the other threads to that of the first, in their order; each thread sums its share of the elements.
template <class T>
static inline void add_partials(T* __restrict result, const T* __restrict partial, int64_t size, int64_t member, int64_t members) {
    const int64_t begin = size * member / members, end = size * (member + 1) / members;
    for (int64_t other = 0; other < members - 1; ++other)
        for (int64_t i = begin; i < end; ++i) result[i] += partial[other * size + i];
}

}  // namespace lamina
