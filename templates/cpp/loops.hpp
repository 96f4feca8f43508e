// What loop nests need beside arithmetic: threads, NaN-passing extrema as reductions, matrix products through the caller's BLAS.
#pragma once

#include "math_base.hpp"

extern "C" int omp_get_thread_num(void);
extern "C" int omp_get_num_threads(void);

#pragma omp declare reduction(lamina_max : float, double, int64_t : omp_out = lamina::max(omp_out, omp_in)) initializer(omp_priv = omp_orig)
#pragma omp declare reduction(lamina_min : float, double, int64_t : omp_out = lamina::min(omp_out, omp_in)) initializer(omp_priv = omp_orig)

namespace lamina {

// Below this many points a thread costs more to wake than it computes.
constexpr int64_t points_per_thread = 16384;

LAMINA_INLINE int64_t at_least_one(int64_t n) { return n < 1 ? 1 : n; }

LAMINA_INLINE int64_t team_size(int64_t threads, int64_t pieces, int64_t points) {
    const int64_t useful = points / points_per_thread + 1;
    const int64_t limit = useful < pieces ? useful : pieces;
    return at_least_one(limit < threads ? limit : threads);
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

template <class T>
using gemm_function = void(const char*, const char*, const int64_t*, const int64_t*, const int64_t*, const T*, const T*, const int64_t*,
                           const T*, const int64_t*, const T*, T*, const int64_t*);

LAMINA_INLINE void gemm(const void* const* services, char ta, char tb, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                        const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
    const float one = 1;
    reinterpret_cast<gemm_function<float>*>(const_cast<void*>(services[0]))(&ta, &tb, &m, &n, &k, &one, a, &lda, b, &ldb, &beta, c, &ldc);
}

LAMINA_INLINE void gemm(const void* const* services, char ta, char tb, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
                        const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
    const double one = 1;
    reinterpret_cast<gemm_function<double>*>(const_cast<void*>(services[1]))(&ta, &tb, &m, &n, &k, &one, a, &lda, b, &ldb, &beta, c, &ldc);
}

// result[b][i][j] (+)= sum over l of left[b][i][l] * right[b][j][l], row-major; a transposed operand is stored with its last two
// dimensions exchanged. Row-major results are column-major ones of the transposed problem.
template <class T>
static inline void product(const void* const* services, int64_t batch, int64_t m, int64_t n, int64_t k, const T* left, bool left_transposed,
                           const T* right, bool right_transposed, T* result, bool accumulate) {
    if (m == 0 || n == 0) return;
    if (k == 0) {
        if (!accumulate) fill(result, batch * m * n, T(0));
        return;
    }
    for (int64_t b = 0; b < batch; ++b) {
        gemm(services, right_transposed ? 'N' : 'T', left_transposed ? 'T' : 'N', n, m, k, right + b * n * k, right_transposed ? n : k,
             left + b * m * k, left_transposed ? m : k, T(accumulate ? 1 : 0), result + b * m * n, n);
    }
}

}  // namespace lamina
