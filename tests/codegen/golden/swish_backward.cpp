using Real = float;

// grad_x, grad_b: loops over ... x C
static void kernel_1(const Real* __restrict at_x, const Real* __restrict at_b, const Real* __restrict at_grad_y, Real* __restrict at_grad_x, Real* __restrict at_grad_b, double* __restrict scratch, const int64_t scratch_stride, const int64_t n_batch, const int64_t n_C, const int64_t threads) {
    const int64_t pieces = n_batch;
    const int64_t team = lamina::team_size(threads, pieces, n_batch * n_C);
    const int64_t members = lamina::share_count(team, pieces, scratch_stride);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)
    for (int64_t member = 0; member < members; ++member) {
        const int64_t begin = pieces * member / members, end = pieces * (member + 1) / members;
        double* __restrict own = scratch + member * scratch_stride;
        lamina::fill(own, n_C, double(0));
        for (int64_t i_batch = begin; i_batch < end; ++i_batch) {
#pragma omp simd
            for (int64_t i_C = 0; i_C < n_C; ++i_C) {
                const Real x = at_x[i_batch * n_C + i_C];
                const Real b = at_b[i_C];
                const Real t7 = lamina::exp(-(x * b));
                const Real t10 = Real(1) / (Real(1) + t7);
                const Real grad_y = at_grad_y[i_batch * n_C + i_C];
                const Real t14 = grad_y * t10;
                const Real t16 = t7 * (t14 * (x * t10));
                own[i_C] += double(t16 * x);
                at_grad_x[i_batch * n_C + i_C] = t14 + (t16 * b);
            }
        }
    }
#pragma omp parallel for num_threads(team) if (n_C > 16384)
    for (int64_t i_C = 0; i_C < n_C; ++i_C) {
        double total_19 = double(0);
        for (int64_t member = 0; member < members; ++member) total_19 += scratch[member * scratch_stride + i_C];
        at_grad_b[i_C] = Real(total_19);
    }
}

extern "C" __attribute__((visibility("default"))) void lamina_run(
    void* const* data, const int64_t* integers, int64_t threads) {
    const int64_t n_batch = integers[0];
    const int64_t n_C = integers[1];
    const Real* const at_x = static_cast<const Real*>(data[0]);
    const Real* const at_b = static_cast<const Real*>(data[1]);
    const Real* const at_grad_y = static_cast<const Real*>(data[2]);
    Real* const at_grad_x = static_cast<Real*>(data[3]);
    Real* const at_grad_b = static_cast<Real*>(data[4]);
    double* const scratch = static_cast<double*>(data[5]);
    (void)integers, (void)data, (void)threads;
    kernel_1(at_x, at_b, at_grad_y, at_grad_x, at_grad_b, scratch, 16 * lamina::floor_divide((31 + n_C), 16), n_batch, n_C, threads);
}
