using Real = float;

// y: loops over ... x O
static void kernel_1(const Real* __restrict at_product, const Real* __restrict at_b, Real* __restrict at_y, const int64_t n_batch, const int64_t threads) {
    const int64_t pieces = n_batch;
    const int64_t team = lamina::team_size(threads, pieces, n_batch * 16);
    const int64_t members = lamina::share_count(team, pieces, 0);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)
    for (int64_t member = 0; member < members; ++member) {
        const int64_t begin = pieces * member / members, end = pieces * (member + 1) / members;
        for (int64_t i_batch = begin; i_batch < end; ++i_batch) {
#pragma omp simd
            for (int64_t i_O = 0; i_O < 16; ++i_O) {
                const Real product = at_product[i_batch * 16 + i_O];
                const Real b = at_b[i_O];
                const Real t7 = product + b;
                at_y[i_batch * 16 + i_O] = (t7 <= Real(0)) ? Real(0) : t7;
            }
        }
    }
}

extern "C" __attribute__((visibility("default"))) void lamina_run(
    void* const* data, const int64_t* integers, int64_t threads) {
    const int64_t n_batch = integers[0];
    const int64_t n_I = integers[1];
    const Real* const at_x = static_cast<const Real*>(data[0]);
    const Real* const at_w = static_cast<const Real*>(data[1]);
    const Real* const at_b = static_cast<const Real*>(data[2]);
    Real* const at_y = static_cast<Real*>(data[3]);
    Real* const at_product = static_cast<Real*>(data[4]);
    Real* const workspace = static_cast<Real*>(data[5]);
    (void)integers, (void)data, (void)threads;
    {
    const lamina::axis batch[] = {{1, 0, 0, 0}};
    const lamina::axis m[] = {{n_batch, n_I, 16}};
    const lamina::axis n[] = {{16, n_I, 1}};
    const lamina::axis k[] = {{n_I, 1, 1}};
    lamina::product<Real>(threads, workspace, {1, batch}, {1, m}, {1, n}, {1, k}, at_x, at_w, nullptr, at_product, false);
    }
    kernel_1(at_product, at_b, at_y, n_batch, threads);
}
