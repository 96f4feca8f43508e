// Products for contractions: blocked, packed, threaded. In the manner of Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication" (ACM TOMS 34(3), 2008): panels of the right operand are copied so that the innermost kernel reads memory in order; of
// the left one it takes single elements, where they are stored or, if they lie far apart, from panels too. Operands have any strides:
// only tables of places know them. A convolution is such a product over windows that overlap in memory (the implicit matrix of Chetlur
// et al., "cuDNN", arXiv:1410.0759, section 3.1).
#pragma once

#include "vectors.hpp"

namespace lamina {

#if defined(__AVX512F__)
constexpr int64_t tile_rows = 8, tile_vectors = 3;  // 24 of 32 registers hold the tile
#elif defined(__AVX__)
constexpr int64_t tile_rows = 4, tile_vectors = 3;  // 12 of 16
#else
constexpr int64_t tile_rows = 4, tile_vectors = 2;
#endif
constexpr int64_t block_depth = 384;     // a panel of the right operand, tile_columns wide, stays in the first cache
constexpr int64_t block_rows = 96;       // a block of the left operand stays in the second
constexpr int64_t block_columns = 768;   // of the right operand in the third; a multiple of every tile width
constexpr int64_t workspace_elements = block_depth * (block_columns + block_rows);  // of a thread

template <class T>
constexpr int64_t tile_columns = tile_vectors * lanes_of<T>;

// Where the points begin .. begin + n - 1 of the loops lie, by their first and by their second steps.
static inline void lay_out(axes loops, int64_t begin, int64_t n, int64_t* __restrict first, int64_t* __restrict second) {
    const axis inner = loops.at[loops.count - 1];
    for (int64_t i = 0; i < n;) {
        int64_t rest = (begin + i) / inner.length, one = 0, other = 0;
        const int64_t low = (begin + i) % inner.length, run = min(inner.length - low, n - i);
        for (int64_t a = loops.count - 2; a >= 0; --a) {
            const int64_t digit = rest % loops.at[a].length;
            rest /= loops.at[a].length;
            one += digit * loops.at[a].first, other += digit * loops.at[a].second;
        }
        for (int64_t j = 0; j < run; ++j) {
            first[i + j] = one + (low + j) * inner.first;
            second[i + j] = other + (low + j) * inner.second;
        }
        i += run;
    }
}

// The left operand of a block: element (row, l) is at[rows[row] + across[l]]; of as many rows as whole tiles have.
template <class T>
struct left_block {
    const T* at;
    const int64_t *rows, *across;
};

// result[rows[i] + 0..] (+)= sum over l < depth of left[i][l] * b[l][0..], of the latter's columns the first `vectors` vectors
template <int64_t vectors, class T>
static inline void multiply_tile(int64_t depth, left_block<T> left, const T* __restrict b, T* __restrict result,
                                 const int64_t* __restrict rows, bool accumulate) {
    using vec = vector_of<T>;
    constexpr int64_t lanes = lanes_of<T>, columns = tile_columns<T>;
    const T* a[tile_rows];
    vec sum[tile_rows][vectors];
    for (int64_t i = 0; i < tile_rows; ++i) {
        a[i] = left.at + left.rows[i];
        for (int64_t j = 0; j < vectors; ++j) sum[i][j] = vec{};
    }
    for (int64_t l = 0; l < depth; ++l) {
        const int64_t across = left.across[l];
        vec right[vectors];
#pragma GCC unroll 4
        for (int64_t j = 0; j < vectors; ++j) right[j] = *reinterpret_cast<const vec*>(b + l * columns + j * lanes);
#pragma GCC unroll 8
        for (int64_t i = 0; i < tile_rows; ++i) {
            const vec factor = a[i][across] - vec{};
#pragma GCC unroll 4
            for (int64_t j = 0; j < vectors; ++j) sum[i][j] += factor * right[j];
        }
    }
    for (int64_t i = 0; i < tile_rows; ++i)
        for (int64_t j = 0; j < vectors; ++j) {
            vec* place = reinterpret_cast<vec*>(result + rows[i] + j * lanes);
            *place = accumulate ? *place + sum[i][j] : sum[i][j];
        }
}

// The lanes of `rows` vectors exchanged with the vectors, in place: by halves, quarters and so on (Eklundh, IEEE Trans. Computers 21,
// 1972).
template <class T>
static inline void transpose(vector_of<T> (&rows)[lanes_of<T>]) {
    typedef typename integer_of_size<sizeof(T)>::type index __attribute__((vector_size(vector_bytes)));
    constexpr int64_t lanes = lanes_of<T>;
#pragma GCC unroll 4
    for (int64_t step = 1; step < lanes; step *= 2) {
        index upper, lower;
        for (int64_t lane = 0; lane < lanes; ++lane) {
            upper[lane] = lane & step ? lanes + lane - step : lane;
            lower[lane] = lane & step ? lanes + lane : lane + step;
        }
#pragma GCC unroll 16
        for (int64_t i = 0; i < lanes; ++i) {
            if (i & step) continue;
            const vector_of<T> first = rows[i], second = rows[i + step];
            rows[i] = shuffle(first, second, upper);
            rows[i + step] = shuffle(first, second, lower);
        }
    }
}

// A square of the panel, as many rows (at `along`, `count` of them) as a vector has lanes by as many columns side by side.
template <class T, int64_t width, class S>
static inline void pack_square(const S* __restrict from, const int64_t* __restrict along, int64_t count, T* __restrict to) {
    constexpr int64_t lanes = lanes_of<T>, kept = width < lanes ? width : lanes;
    vector_of<T> rows[lanes];
#pragma GCC unroll 16
    for (int64_t i = 0; i < lanes; ++i) {
        rows[i] = vector_of<T>{};
        if (i < kept && i < count) {
            if constexpr (same_type<T, S>)
                rows[i] = *reinterpret_cast<const vector_of<T>*>(from + along[i]);
            else
                for (int64_t k = 0; k < lanes; ++k) rows[i][k] = convert<T>(from[along[i] + k]);
        }
    }
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int64_t k = 0; k < lanes; ++k) __builtin_memcpy(to + k * width, &rows[k], kept * sizeof(T));
}

// Stretches of `run` elements each, side by side in the panel; their length is known here, so that none is a call of memcpy.
template <class T, int64_t width, int64_t run, class S>
static inline void pack_runs(const S* __restrict from, const int64_t* __restrict along, const int64_t* __restrict across, int64_t count,
                             int64_t depth, T* __restrict to) {
    for (int64_t l = 0; l < depth; ++l)
        for (int64_t i = 0; i < count; i += run)
            for (int64_t j = 0; j < run; ++j) to[l * width + i + j] = convert<T>(from[across[l] + along[i] + j]);
}

// Copies `count` rows or columns (at `along`) by `depth` (at `across`) to a panel of `width`, filled up with zeros.
template <class T, int64_t width, class S>
static inline void pack_panel(const S* __restrict from, const int64_t* __restrict along, const int64_t* __restrict across, int64_t count,
                              int64_t depth, T* __restrict to) {
    int64_t runs = 1, end[width];  // the stretches of `along` that lie one after the other in memory
    end[0] = count;
    for (int64_t i = 1; i < count; ++i)
        if (along[i] != along[i - 1] + 1) end[runs] = count, end[runs++ - 1] = i;
    if (runs == 1 && count == width) {
        const S* const start = from + along[0];
        for (int64_t l = 0; l < depth; ++l)
            for (int64_t i = 0; i < width; ++i) to[l * width + i] = convert<T>(start[across[l] + i]);
        return;
    }
    if (count < width) fill(to, depth * width, T(0));
    bool fours = count % 4 == 0;
    for (int64_t r = 0; r < runs; ++r) fours = fours && end[r] % 4 == 0;
    if (fours) return pack_runs<T, width, 4>(from, along, across, count, depth, to);
    if (runs * 4 <= count) {
        for (int64_t r = 0, i = 0; r < runs; i = end[r++]) {
            const S* const start = from + along[i];
            const int64_t n = end[r] - i;
            for (int64_t l = 0; l < depth; ++l)
                for (int64_t j = 0; j < n; ++j) to[l * width + i + j] = convert<T>(start[across[l] + j]);
        }
        return;
    }
    // what lies side by side across the panel is turned round in squares, the rest copied one by one
    constexpr int64_t lanes = lanes_of<T>;
    for (int64_t l = 0; l < depth;) {
        bool square = l + lanes <= depth;
        for (int64_t k = 1; square && k < lanes; ++k) square = across[l + k] == across[l] + k;
        const int64_t n = square ? lanes : 1;
        if (square)
            for (int64_t i = 0; i < count; i += lanes) pack_square<T, width>(from + across[l], along + i, count - i, to + l * width + i);
        else
            for (int64_t i = 0; i < count; ++i) to[l * width + i] = convert<T>(from[along[i] + across[l]]);
        l += n;
    }
}

// rows x columns of one panel, to the places given; what is no full tile in memory goes through a buffer.
template <int64_t vectors, class T>
static inline void multiply_panel(int64_t rows, int64_t columns, int64_t depth, left_block<T> left, const T* b, T* result,
                                  const int64_t* row_places, const int64_t* column_places, bool accumulate) {
    constexpr int64_t width = vectors * lanes_of<T>;
    int64_t edge_rows[tile_rows];
    for (int64_t y = 0; y < tile_rows; ++y) edge_rows[y] = y * width;
    bool whole = columns == width;
    for (int64_t x = 1; x < columns; ++x) whole = whole && column_places[x] == column_places[0] + x;
    for (int64_t i = 0; i < rows; i += tile_rows) {
        const int64_t height = min(tile_rows, rows - i);
        const left_block<T> tile{left.at, left.rows + i, left.across};
        if (height == tile_rows && whole) {
            multiply_tile<vectors>(depth, tile, b, result + column_places[0], row_places + i, accumulate);
            continue;
        }
        T edge[tile_rows * width];
        multiply_tile<vectors>(depth, tile, b, edge, edge_rows, false);
        for (int64_t y = 0; y < height; ++y)
            for (int64_t x = 0; x < columns; ++x) {
                T* const target = result + row_places[i + y] + column_places[x];
                *target = (accumulate ? *target : T(0)) + edge[y * width + x];
            }
    }
}

// rows x columns of one block; the last panel takes only as many vectors as its columns fill.
template <class T>
static inline void multiply_block(int64_t rows, int64_t columns, int64_t depth, left_block<T> left, const T* b, T* result,
                                  const int64_t* row_places, const int64_t* column_places, bool accumulate) {
    constexpr int64_t width = tile_columns<T>;
    static_assert(tile_vectors <= 3, "one case below for each number of vectors");
    for (int64_t j = 0; j < columns; j += width) {
        const int64_t breadth = min(width, columns - j), vectors = (breadth + lanes_of<T> - 1) / lanes_of<T>;
        const auto panel = vectors == tile_vectors ? multiply_panel<tile_vectors, T>
                           : vectors == 1          ? multiply_panel<1, T>
                                                   : multiply_panel<2, T>;
        panel(rows, breadth, depth, left, b + j * depth, result, row_places, column_places + j, accumulate);
    }
}

// Whether most of the places lie within a vector of the one before: the elements there share cache lines.
template <class T>
static inline bool lie_close(const int64_t* places, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 1; i < n; ++i) count += places[i] - places[i - 1] < lanes_of<T> && places[i - 1] - places[i] < lanes_of<T>;
    return 2 * count >= n - 1;
}

// The left operand of a block (at rows, across). A tile takes single elements of it, which cost no more where they are stored than from
// a packed panel, if they share cache lines; else, or if they have to be converted, they are packed. `places`: for its places then.
template <class T, class A>
static inline left_block<T> left_operand(int64_t count, int64_t depth, const A* from, int64_t* rows, const int64_t* across, T* packed,
                                         int64_t* places) {
    if constexpr (same_type<T, A>)
        if (lie_close<T>(across, depth) || lie_close<T>(rows, count)) {
            for (int64_t i = count; i % tile_rows != 0; ++i) rows[i] = rows[count - 1];
            return {from, rows, across};
        }
    for (int64_t i = 0; i < count; i += tile_rows)
        pack_panel<T, tile_rows>(from, rows + i, across, min(tile_rows, count - i), depth, packed + i * depth);
    for (int64_t i = 0; i < block_rows; ++i) places[i] = i / tile_rows * tile_rows * depth + i % tile_rows;
    for (int64_t l = 0; l < depth; ++l) places[block_rows + l] = l * tile_rows;
    return {packed, places, places + block_rows};
}

// The panels first, first + step, .. of a block of the right operand, each to its place in the block.
template <class T, class B>
static inline void pack_block(int64_t first, int64_t step, int64_t columns, int64_t depth, const B* right, const int64_t* along,
                              const int64_t* across, T* to) {
    constexpr int64_t width = tile_columns<T>;
    for (int64_t j = first * width; j < columns; j += step * width)
        pack_panel<T, width>(right, along + j, across, min(width, columns - j), depth, to + j * depth);
}

// What one member of a team does of result[m][n] (+)= sum over k of left[m][k] * right[n][k]: a share of the blocks of rows, or of
// columns where the result is wide and low. Steps: m of (left, result), n of (right, result), k of (left, right). `packed`: the right
// operand as pack_right leaves it; or null.
template <class T, class A, class B>
static inline void multiply(int64_t member, int64_t members, T* workspace, axes m, axes n, axes k, const A* left, const B* right,
                            const T* packed, T* result, bool accumulate) {
    constexpr int64_t width = tile_columns<T>;
    T* const packed_left = workspace + block_depth * (block_columns + member * block_rows);
    int64_t left_rows[block_rows], result_rows[block_rows], right_columns[block_columns], result_columns[block_columns];
    int64_t left_depth[block_depth], right_depth[block_depth], packed_places[block_rows + block_depth];
    const int64_t height = m.points(), breadth = n.points(), length = k.points();
    for (int64_t column = 0; column < breadth; column += block_columns) {
        const int64_t columns = min(block_columns, breadth - column), panels = (columns + width - 1) / width;
        lay_out(n, column, columns, right_columns, result_columns);
        for (int64_t layer = 0; layer < length; layer += block_depth) {
            const int64_t depth = min(block_depth, length - layer);
            lay_out(k, layer, depth, left_depth, right_depth);
            const T* const block = packed ? packed + column * length + layer * panels * width : workspace;
            if (!packed) pack_block(member, members, columns, depth, right, right_columns, right_depth, workspace);
            if (members > 1) {
#pragma omp barrier
            }
            const bool by_rows = height >= members * tile_rows * 4;
            const int64_t groups = (height + tile_rows - 1) / tile_rows;
            const int64_t top = by_rows ? min(height, groups * member / members * tile_rows) : 0;
            const int64_t bottom = by_rows ? min(height, groups * (member + 1) / members * tile_rows) : height;
            const int64_t near = by_rows ? 0 : min(columns, panels * member / members * width);
            const int64_t far = by_rows ? columns : min(columns, panels * (member + 1) / members * width);
            for (int64_t row = top; row < bottom && near < far; row += block_rows) {
                const int64_t rows = min(block_rows, bottom - row);
                lay_out(m, row, rows, left_rows, result_rows);
                const left_block<T> factors = left_operand<T>(rows, depth, left, left_rows, left_depth, packed_left, packed_places);
                multiply_block(rows, far - near, depth, factors, block + near * depth, result, result_rows, result_columns + near,
                               accumulate || layer > 0);
            }
            if (members > 1) {
#pragma omp barrier
            }
        }
    }
}

// The elements of a right operand that is packed whole.
template <class T>
static inline int64_t packed_elements(int64_t columns, int64_t depth) {
    return (columns + tile_columns<T> - 1) / tile_columns<T> * tile_columns<T> * depth;
}

// Packs the right operands of a batch of products whole, block after block as `multiply` reads them. The loops run over the same
// points as those of `product`; their first steps are the right operand's.
template <class T, class B>
static inline void pack_right(int64_t threads, axes batch, axes n, axes k, const B* right, T* packed) {
    constexpr int64_t width = tile_columns<T>;
    const int64_t breadth = n.points(), length = k.points(), size = packed_elements<T>(breadth, length);
    const int64_t pieces = batch.points() * ((breadth + width - 1) / width) * ((length + block_depth - 1) / block_depth);
    const int64_t team = team_size(threads, pieces, batch.points() * size);
#pragma omp parallel num_threads(team) if (team > 1)
    {
        const int64_t members = team > 1 ? omp_get_num_threads() : 1, member = team > 1 ? omp_get_thread_num() : 0;
        int64_t columns_at[block_columns], depth_at[block_depth], unused[block_columns], at[3], next = member;
        for (int64_t b = 0; b < batch.points(); ++b) {
            locate(batch, b, at);
            for (int64_t column = 0; column < breadth; column += block_columns) {
                const int64_t columns = min(block_columns, breadth - column), panels = (columns + width - 1) / width;
                lay_out(n, column, columns, columns_at, unused);
                for (int64_t layer = 0; layer < length; layer += block_depth) {
                    const int64_t depth = min(block_depth, length - layer);
                    lay_out(k, layer, depth, depth_at, unused);
                    T* const block = packed + b * size + column * length + layer * panels * width;
                    pack_block(next, members, columns, depth, right + at[0], columns_at, depth_at, block);
                    next = (next + panels * (members - 1)) % members;  // panels in turn, the next block's too
                }
            }
        }
    }
}

// result[m][n] = 0, the second steps of both; one member's share of the rows.
template <class T>
static inline void clear(axes m, axes n, T* result, int64_t member, int64_t members) {
    int64_t unused, row, column;
    const int64_t rows = m.points(), columns = n.points();
    for (int64_t i = rows * member / members; i < rows * (member + 1) / members; ++i) {
        lay_out(m, i, 1, &unused, &row);
        for (int64_t j = 0; j < columns; ++j) {
            lay_out(n, j, 1, &unused, &column);
            result[row + column] = T(0);
        }
    }
}

// result[b][m][n] (+)= sum over k of left[b][m][k] * right[b][n][k]. Steps: batch of (left, right, result), the others as in
// `multiply`. A thread works alone on the matrices of a batch where there are enough of them, else the team shares each. `packed`: the
// right operands as pack_right leaves them, or null.
template <class T, class A, class B>
static inline void product(int64_t threads, T* workspace, axes batch, axes m, axes n, axes k, const A* left, const B* right,
                           const T* packed, T* result, bool accumulate) {
    const int64_t matrices = batch.points(), rows = m.points(), columns = n.points(), depth = k.points();
    if (matrices == 0 || rows == 0 || columns == 0 || (depth == 0 && accumulate)) return;
    const int64_t pieces = (rows + tile_rows - 1) / tile_rows * ((columns + tile_columns<T> - 1) / tile_columns<T>);
    const int64_t whole = team_size(threads, matrices, matrices * rows * columns * depth / 8);
    const bool alone = matrices >= threads || whole > pieces;
    const int64_t team = alone ? whole : team_size(threads, pieces, rows * columns * depth / 8);
#pragma omp parallel num_threads(team) if (team > 1)
    {
        const int64_t members = team > 1 ? omp_get_num_threads() : 1, member = team > 1 ? omp_get_thread_num() : 0;
        const int64_t begin = alone ? matrices * member / members : 0, end = alone ? matrices * (member + 1) / members : matrices;
        for (int64_t b = begin; b < end; ++b) {
            int64_t at[3];
            locate(batch, b, at);
            const T* const matrix = packed ? packed + b * packed_elements<T>(columns, depth) : nullptr;
            if (depth == 0) {
                clear(m, n, result + at[2], alone ? 0 : member, alone ? 1 : members);
            } else if (alone) {
                T* const own = workspace + member * workspace_elements;
                multiply(0, 1, own, m, n, k, left + at[0], right + at[1], matrix, result + at[2], accumulate);
            } else {
                multiply(member, members, workspace, m, n, k, left + at[0], right + at[1], matrix, result + at[2], accumulate);
            }
        }
    }
}

}  // namespace lamina
