// What loop nests need beside arithmetic: threads, NaN-passing extrema as reductions, totals.
#pragma once

#include "indices.hpp"
#include "math_base.hpp"

extern "C" int omp_get_thread_num(void);
extern "C" int omp_get_num_threads(void);

#pragma omp declare reduction(lamina_max : float, double, int64_t : omp_out = lamina::max(omp_out, omp_in)) initializer(omp_priv = omp_orig)
#pragma omp declare reduction(lamina_min : float, double, int64_t : omp_out = lamina::min(omp_out, omp_in)) initializer(omp_priv = omp_orig)

namespace lamina {

// Below this many points a thread costs more to wake than it computes.
constexpr int64_t points_per_thread = 16384;

LAMINA_INLINE int64_t team_size(int64_t threads, int64_t pieces, int64_t points) {
    const int64_t useful = points / points_per_thread + 1;
    const int64_t limit = useful < pieces ? useful : pieces;
    return at_least_one(limit < threads ? limit : threads);
}

// Shares that the pieces of a loop are divided into: several a thread, unless each needs much scratch memory (in 8-byte words).
constexpr int64_t shares_per_thread = 4, most_shared_words = 65536;

LAMINA_INLINE int64_t share_count(int64_t team, int64_t pieces, int64_t words) {
    if (team == 1) return 1;
    const int64_t shares = words > most_shared_words ? team : team * shares_per_thread;
    return at_least_one(shares < pieces ? shares : pieces);
}

// Whether some of the `points` indices from low to high leave 0..n-1; then says so in `status`: the check's number, low, high, n.
static inline bool leaves(int64_t points, int64_t low, int64_t high, int64_t n, int64_t number, int64_t* status) {
    if (points < 1 || (low >= 0 && high < n)) return false;
    status[0] = number, status[1] = low, status[2] = high, status[3] = n;
    return true;
}

// Chunks that the steps of a recurrence are divided into, a lane to each, where there are fewer rows than lanes; else 0.
constexpr int64_t chunk_lanes = 8, most_chunks = 256, least_steps = 256;

LAMINA_INLINE int64_t scan_chunks(int64_t threads, int64_t rows, int64_t steps) {
    if (rows < 1 || rows >= chunk_lanes * threads) return 0;
    const int64_t chunks = steps / least_steps < most_chunks ? steps / least_steps : most_chunks;
    return chunks - chunks % chunk_lanes;
}

// Steps of a chunk. Chunks that begin a multiple of many cache lines apart would evict each other.
LAMINA_INLINE int64_t chunk_width(int64_t steps, int64_t chunks) {
    const int64_t width = steps / chunks;
    return width % 32 < 16 ? width - width % 32 - 16 : width;
}

// How many of the lanes of a recurrence step together: `most`, or fewer where threads would go without.
LAMINA_INLINE int64_t scan_block(int64_t threads, int64_t others, int64_t lanes, int64_t most) {
    int64_t block = most;
    while (block > 8 && others * ((lanes + block - 1) / block) < threads) block /= 2;
    return block;
}

template <class T>
static inline void fill(T* target, int64_t n, T value) {
    for (int64_t i = 0; i < n; ++i) target[i] = value;
}

// Adds each total's lanes to it and empties them.
template <int64_t lanes, class T>
static inline void flush_lanes(double* __restrict total, T* __restrict own_lanes, int64_t totals) {
    for (int64_t i = 0; i < totals; ++i) {
        double sum = 0;
        for (int64_t lane = 0; lane < lanes; ++lane) sum += double(own_lanes[i * lanes + lane]);
        total[i] += sum;
    }
    fill(own_lanes, totals * lanes, T(0));
}

}  // namespace lamina
