using Real = float;

// y: loops over ... x C, 3 stages a row
static void kernel_1(const Real* __restrict at_x, const Real* __restrict at_g, Real* __restrict at_y, const int64_t n_C, const int64_t n_batch, const int64_t threads) {
    const int64_t t3 = n_C;
    const int64_t pieces = n_batch;
    const int64_t team = lamina::team_size(threads, pieces, n_batch * n_C);
    const int64_t members = lamina::share_count(team, pieces, 0);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)
    for (int64_t member = 0; member < members; ++member) {
        const int64_t begin = pieces * member / members, end = pieces * (member + 1) / members;
        for (int64_t i_batch = begin; i_batch < end; ++i_batch) {
            double total_2 = double(0);
            for (int64_t chunk = 0; chunk < n_C; chunk += 4096) {
                const int64_t chunk_end = chunk + 4096 < n_C ? chunk + 4096 : n_C;
                Real part_2 = Real(0);
#pragma omp simd reduction(+ : part_2)
                for (int64_t i_C = chunk; i_C < chunk_end; ++i_C) {
                    const Real x = at_x[i_batch * n_C + i_C];
                    part_2 += x;
                }
                total_2 += double(part_2);
            }
            const Real sum = Real(total_2);
            // let m = mean[C](x)  out y[..., C] = (x - m) * rsqrt(mean[C]((x - m)^2) + 1e-5) * g }
            const Real m = sum / Real(t3);
            double total_7 = double(0);
            for (int64_t chunk = 0; chunk < n_C; chunk += 4096) {
                const int64_t chunk_end = chunk + 4096 < n_C ? chunk + 4096 : n_C;
                Real part_7 = Real(0);
#pragma omp simd reduction(+ : part_7)
                for (int64_t i_C = chunk; i_C < chunk_end; ++i_C) {
                    const Real x = at_x[i_batch * n_C + i_C];
                    const Real t5 = x - m;
                    part_7 += t5 * t5;
                }
                total_7 += double(part_7);
            }
            const Real sum_2 = Real(total_7);
            const Real t8 = sum_2 / Real(t3);
            const Real t10 = t8 + Real(1e-05);
            const Real t11 = lamina::rsqrt(t10);
#pragma omp simd
            for (int64_t i_C = 0; i_C < n_C; ++i_C) {
                const Real x = at_x[i_batch * n_C + i_C];
                const Real g = at_g[i_C];
                at_y[i_batch * n_C + i_C] = ((x - m) * t11) * g;
            }
        }
    }
}

extern "C" __attribute__((visibility("default"))) void lamina_run(
    void* const* data, const int64_t* integers, int64_t threads) {
    const int64_t n_C = integers[0];
    const int64_t n_batch = integers[1];
    const Real* const at_x = static_cast<const Real*>(data[0]);
    const Real* const at_g = static_cast<const Real*>(data[1]);
    Real* const at_y = static_cast<Real*>(data[2]);
    (void)integers, (void)data, (void)threads;
    kernel_1(at_x, at_g, at_y, n_C, n_batch, threads);
}
