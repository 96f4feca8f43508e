// Adding values up at positions that only other values tell: the adjoint of a gather.
#pragma once

#include "loops.hpp"
#include "storage.hpp"

namespace lamina {

constexpr int64_t scatter_block = 256;  // sums of a row gathered at a time

// The sum of values at the points `order[0..count)`, `step` apart, each a row of `inner` elements; in float64, in the points' order.
template <class Real, class Out>
static inline void sum_points(const int64_t* order, int64_t count, const Real* __restrict values, int64_t inner, Out* __restrict result) {
    if (inner == 1) {
        double total = 0;
        for (int64_t k = 0; k < count; ++k) total += double(values[order[k]]);
        result[0] = convert<Out>(Real(total));
        return;
    }
    double total[scatter_block];
    for (int64_t first = 0; first < inner; first += scatter_block) {
        const int64_t length = inner - first < scatter_block ? inner - first : scatter_block;
        if (count == 1) {
            const Real* __restrict row = values + order[0] * inner + first;
#pragma omp simd
            for (int64_t i = 0; i < length; ++i) result[first + i] = convert<Out>(row[i]);
            continue;
        }
        fill(total, length, 0.0);
        for (int64_t k = 0; k < count; ++k) {
            const Real* __restrict row = values + order[k] * inner + first;
#pragma omp simd
            for (int64_t i = 0; i < length; ++i) total[i] += double(row[i]);
        }
#pragma omp simd
        for (int64_t i = 0; i < length; ++i) result[first + i] = convert<Out>(Real(total[i]));
    }
}

// result[outer][groups][rows][inner] = sums of values[outer][groups][points][inner] at the rows keys[groups][points]; a key outside
// counts nowhere. The points of each group are sorted by their rows, so every row is written once, by one thread, and its sum does
// not depend on the number of threads. Room: (rows + 1) a group in `start`, as many as keys in `order`.
template <class Real, class Out>
static inline void scatter(int64_t threads, int64_t outer, int64_t groups, int64_t points, int64_t rows, int64_t inner,
                           const int64_t* __restrict keys, const Real* __restrict values, Out* __restrict result,
                           int64_t* __restrict start, int64_t* __restrict order) {
    const int64_t sorters = team_size(threads, groups, groups * (points + rows));
#pragma omp parallel for num_threads(sorters) if (sorters > 1)
    for (int64_t group = 0; group < groups; ++group) {
        const int64_t* const key = keys + group * points;
        int64_t* const next = start + group * (rows + 1);
        fill(next, rows + 1, int64_t(0));
        for (int64_t q = 0; q < points; ++q)
            if (inside(key[q], rows)) ++next[key[q] + 1];
        for (int64_t r = 0; r < rows; ++r) next[r + 1] += next[r];
        for (int64_t q = 0; q < points; ++q)
            if (inside(key[q], rows)) order[group * points + next[key[q]]++] = q;  // next[r] ends as the end of row r
    }
    const int64_t pieces = outer * groups * rows;
    const int64_t team = team_size(threads, pieces, outer * groups * max(points, rows) * inner);
    const int64_t members = share_count(team, pieces, 0);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)
    for (int64_t member = 0; member < members; ++member) {
        const int64_t begin = pieces * member / members, end = pieces * (member + 1) / members;
        for (int64_t piece = begin; piece < end; ++piece) {
            const int64_t row = piece % rows, block = piece / rows, group = block % groups;
            const int64_t* const ends = start + group * (rows + 1);
            const int64_t low = row == 0 ? 0 : ends[row - 1];
            sum_points(order + group * points + low, ends[row] - low, values + block * points * inner, inner, result + piece * inner);
        }
    }
}

}  // namespace lamina
