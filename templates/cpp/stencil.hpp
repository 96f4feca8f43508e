// Sums over windows whose weights no second axis shares (depthwise convolutions, long filters of one channel, and their gradients):
// register tiles of outputs, or of weights' gradients, over data that is read once for all the rows of a tile.
#pragma once

#include "vectors.hpp"

namespace lamina {

// Rows and vectors of a register tile: with rows, data read once serves several of them; without, only the weight is shared.
constexpr int64_t window_rows = 4, window_vectors = vector_bytes == 64 ? 4 : 2, window_row_vectors = vector_bytes == 64 ? 8 : 4;
constexpr int64_t window_terms = 2048;  // in a register, before they are added to a total
constexpr int64_t window_span = 1024;   // columns of a piece of work

// A tile of `rows` x `vectors` accumulators. Row r of the tile meets row h of the data at row h - r of the weights. Whatever runs over
// them is unrolled: an index that is known only at run time would keep them in memory.
template <class T, int64_t rows, int64_t vectors>
struct window_tile {
    using vec = vector_of<T>;
    static constexpr int64_t lanes = lanes_of<T>;
    vec sum[rows][vectors];

    inline __attribute__((always_inline)) void clear() {
#pragma GCC unroll 8
        for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
            for (int64_t s = 0; s < vectors; ++s) sum[r][s] = vec{};
    }

    // rows low .. high-1: sum[r][s] += w[-r * w_row] * x[s], for every tap; the last vector holds `last` columns
    template <int64_t low, int64_t high>
    inline __attribute__((always_inline)) void spread(const T* x, int64_t last, const T* w, int64_t w_row, int64_t taps, int64_t x_tap, int64_t w_tap) {
        for (int64_t t = 0; t < taps; ++t, x += x_tap, w += w_tap) {
            vec data[vectors];
#pragma GCC unroll 8
            for (int64_t s = 0; s < vectors - 1; ++s) data[s] = *reinterpret_cast<const vec*>(x + s * lanes);
            data[vectors - 1] = load_part(x + (vectors - 1) * lanes, last);
#pragma GCC unroll 8
            for (int64_t r = low; r < high; ++r) {
                const vec weight = w[-r * w_row] - vec{};
#pragma GCC unroll 8
                for (int64_t s = 0; s < vectors; ++s) sum[r][s] += weight * data[s];
            }
        }
    }

    // rows low .. high-1: sum[r][s] += w[-r * w_row] * x[s * x_tap], lane by lane of n
    template <int64_t low, int64_t high>
    inline __attribute__((always_inline)) void collect(const T* x, int64_t n, const T* w, int64_t w_row, int64_t x_tap) {
        vec data[vectors];
#pragma GCC unroll 8
        for (int64_t s = 0; s < vectors; ++s) data[s] = load_part(x + s * x_tap, n);
#pragma GCC unroll 8
        for (int64_t r = low; r < high; ++r) {
            const vec weight = load_part(w - r * w_row, n);
#pragma GCC unroll 8
            for (int64_t s = 0; s < vectors; ++s) sum[r][s] += weight * data[s];
        }
    }

    // the member function for the rows first .. end-1, known when the program runs
    template <int64_t low, int64_t high, class... A>
    inline __attribute__((always_inline)) void spread_rows(int64_t first, int64_t end, A... arguments) {
        if (first == low && end == high)
            spread<low, high>(arguments...);
        else if constexpr (high - low > 1)
            spread_rows<low, high - 1>(first, end, arguments...);
        else if constexpr (low + 1 < rows)
            spread_rows<low + 1, rows>(first, end, arguments...);
    }

    template <int64_t low, int64_t high, class... A>
    inline __attribute__((always_inline)) void collect_rows(int64_t first, int64_t end, A... arguments) {
        if (first == low && end == high)
            collect<low, high>(arguments...);
        else if constexpr (high - low > 1)
            collect_rows<low, high - 1>(first, end, arguments...);
        else if constexpr (low + 1 < rows)
            collect_rows<low + 1, rows>(first, end, arguments...);
    }
};

// The loops of a sum over windows; x, w and y are the steps in data, weights and result.
//
// spread:  y[outer, row, column] = sum over window, tap, others of w * x: columns lie side by side in x, w lacks rows and columns.
// collect: y[outer, window, tap] = sum over row, column, others of w * x: columns lie side by side in x and in w.
// In both, x[row, window] lies at (row + dilation * window) * row_x.
struct windows {
    axes outer;   // steps: x, w, y
    axes others;  // steps: x, w
    int64_t rows, row_x, row_w, row_y;
    int64_t dilation, window, window_w, window_y;
    int64_t taps, tap_x, tap_w, tap_y;
    int64_t columns, column_y;
};

// `count` rows of outputs, dilation apart, by the `columns` from `column` on, at most vectors of them.
template <class T, int64_t rows, int64_t vectors>
static inline void spread_tile(const windows& loops, const T* x, const T* w, T* y, int64_t count, int64_t columns) {
    using vec = vector_of<T>;
    constexpr int64_t lanes = lanes_of<T>;
    const int64_t last = columns - (vectors - 1) * lanes, others = loops.others.points(), height = loops.window + count - 1;
    const int64_t most = max(window_terms / at_least_one(loops.window), int64_t(16));
    vec total[rows][vectors];
    window_tile<T, rows, vectors> part;
    part.clear();
    bool first = true;
    for (int64_t o = 0; o < others; ++o) {
        int64_t at[3];
        locate(loops.others, o, at);
        for (int64_t tap = 0; tap < loops.taps; tap += most) {
            const int64_t taps = min(most, loops.taps - tap);
            const T* const data = x + at[0] + tap * loops.tap_x;
            const T* const weights = w + at[1] + tap * loops.tap_w;
            for (int64_t h = 0; h < height; ++h)
                part.template spread_rows<0, rows>(max(int64_t(0), h - loops.window + 1), min(count, h + 1),
                                                   data + h * loops.dilation * loops.row_x, last, weights + h * loops.window_w,
                                                   loops.window_w, taps, loops.tap_x, loops.tap_w);
            if (others > 1 || taps < loops.taps) {
#pragma GCC unroll 8
                for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
                    for (int64_t s = 0; s < vectors; ++s) total[r][s] = first ? part.sum[r][s] : total[r][s] + part.sum[r][s];
                part.clear();
                first = false;
            }
        }
    }
#pragma GCC unroll 8
    for (int64_t r = 0; r < rows; ++r) {
        if (r >= count) break;
#pragma GCC unroll 8
        for (int64_t s = 0; s < vectors; ++s) {
            const vec value = first ? part.sum[r][s] : total[r][s];
            T* const to = y + r * loops.dilation * loops.row_y + s * lanes * loops.column_y;
            const int64_t n = s < vectors - 1 ? lanes : last;
            if (n == lanes && loops.column_y == 1)
                *reinterpret_cast<vec*>(to) = value;
            else
                for (int64_t i = 0; i < n; ++i) to[i * loops.column_y] = value[i];
        }
    }
}

template <class T, int64_t rows, int64_t vectors>
static inline void spread_columns(const windows& loops, const T* x, const T* w, T* y, int64_t count, int64_t columns) {
    constexpr int64_t width = vectors * lanes_of<T>;
    int64_t column = 0;
    for (; columns - column > width - lanes_of<T>; column += width)
        spread_tile<T, rows, vectors>(loops, x + column, w, y + column * loops.column_y, count, min(width, columns - column));
    if constexpr (vectors > 1)
        if (column < columns)
            spread_columns<T, rows, vectors - (vectors > 4 ? 4 : 1)>(loops, x + column, w, y + column * loops.column_y, count,
                                                                   columns - column);
}

template <class T, int64_t rows, int64_t vectors>
static inline void spread_all(int64_t threads, const windows& loops, const T* x, const T* w, T* y) {
    const int64_t bands = (loops.rows + rows * loops.dilation - 1) / (rows * loops.dilation) * loops.dilation;
    const int64_t spans = (loops.columns + window_span - 1) / window_span, pieces = loops.outer.points() * bands * spans;
    const int64_t terms = loops.window * loops.taps * loops.others.points();
    const int64_t team = team_size(threads, pieces, pieces * rows * min(window_span, loops.columns) * terms / 8);
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1)
    for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t span = piece % spans * window_span, band = piece / spans % bands;
        const int64_t row = band / loops.dilation * loops.dilation * rows + band % loops.dilation;
        const int64_t count = min(rows, (loops.rows - row + loops.dilation - 1) / loops.dilation);
        if (count <= 0) continue;
        int64_t at[3];
        locate(loops.outer, piece / spans / bands, at);
        spread_columns<T, rows, vectors>(loops, x + at[0] + row * loops.row_x + span, w + at[1],
                                         y + at[2] + row * loops.row_y + span * loops.column_y, count,
                                         min(window_span, loops.columns - span));
    }
}

template <class T>
static inline void spread_windows(int64_t threads, const windows& loops, const T* x, const T* w, T* y) {
    if (loops.rows > 1)
        spread_all<T, window_rows, window_vectors>(threads, loops, x, w, y);
    else
        spread_all<T, 1, window_row_vectors>(threads, loops, x, w, y);
}

// `count` rows of the window by `vectors` taps, summed over everything.
template <class T, int64_t rows, int64_t vectors>
static inline void collect_tile(const windows& loops, const T* x, const T* w, T* y, int64_t count) {
    constexpr int64_t lanes = lanes_of<T>;
    const int64_t others = loops.others.points(), step = loops.dilation, height = loops.rows + step * (count - 1);
    double total[rows][vectors] = {};
    window_tile<T, rows, vectors> part;
    part.clear();
    int64_t terms = 0;
    const auto flush = [&] {
#pragma GCC unroll 8
        for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
            for (int64_t s = 0; s < vectors; ++s) {
                const vector_of<T> value = part.sum[r][s];
                for (int64_t i = 0; i < lanes; ++i) total[r][s] += double(value[i]);
            }
        part.clear();
        terms = 0;
    };
    for (int64_t o = 0; o < others; ++o) {
        int64_t at[3];
        locate(loops.others, o, at);
        for (int64_t column = 0; column < loops.columns; column += lanes) {
            const int64_t n = min(lanes, loops.columns - column);
            for (int64_t h = 0; h < height; ++h) {
                const int64_t first = h < loops.rows ? 0 : (h - loops.rows) / step + 1, end = min(count, h / step + 1);
                part.template collect_rows<0, rows>(first, end, x + at[0] + column + h * loops.row_x, n,
                                                    w + at[1] + column + h * loops.row_w, step * loops.row_w, loops.tap_x);
                if (++terms == window_terms) flush();
            }
        }
    }
    flush();
    for (int64_t r = 0; r < count; ++r)
        for (int64_t s = 0; s < vectors; ++s) y[r * loops.window_y + s * loops.tap_y] = T(total[r][s]);
}

template <class T, int64_t rows, int64_t vectors>
static inline void collect_taps(const windows& loops, const T* x, const T* w, T* y, int64_t count, int64_t taps) {
    if (taps == vectors)
        collect_tile<T, rows, vectors>(loops, x, w, y, count);
    else if constexpr (vectors > 1)
        collect_taps<T, rows, vectors - 1>(loops, x, w, y, count, taps);
}

template <class T, int64_t rows, int64_t vectors>
static inline void collect_all(int64_t threads, const windows& loops, const T* x, const T* w, T* y) {
    const int64_t bands = (loops.window + rows - 1) / rows, blocks = (loops.taps + vectors - 1) / vectors;
    const int64_t pieces = loops.outer.points() * bands * blocks;
    const int64_t points = loops.rows * loops.columns * loops.others.points();
    const int64_t team = team_size(threads, pieces, pieces * points);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)
    for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t tap = piece % blocks * vectors, row = piece / blocks % bands * rows;
        int64_t at[3];
        locate(loops.outer, piece / blocks / bands, at);
        collect_taps<T, rows, vectors>(loops, x + at[0] + row * loops.dilation * loops.row_x + tap * loops.tap_x, w + at[1],
                                       y + at[2] + row * loops.window_y + tap * loops.tap_y, min(rows, loops.window - row),
                                       min(vectors, loops.taps - tap));
    }
}

template <class T>
static inline void collect_windows(int64_t threads, const windows& loops, const T* x, const T* w, T* y) {
    if (loops.window > 1)
        collect_all<T, window_rows, window_vectors>(threads, loops, x, w, y);
    else
        collect_all<T, 1, window_row_vectors>(threads, loops, x, w, y);
}

}  // namespace lamina
