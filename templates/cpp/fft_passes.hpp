// Complex transforms of rows of numbers, of lengths that are products of small primes.
//
// Stockham's (no reordering): passes of radix 4, 2, 3, 5, 7, 11, 13, from one array to the other and back. Roots of unity are computed
// in float64 within an octant, so that errors grow as log n.
#pragma once

#include "loops.hpp"

namespace lamina {

constexpr int64_t largest_radix = 13;

// cos and sin of -2 pi k / n, for 0 <= k < n
LAMINA_INLINE void root_of_unity(int64_t k, int64_t n, double& re, double& im) {
    const int64_t quadrant = 4 * k / n, within = 4 * k - quadrant * n;  // the angle is (quadrant + within / n) quarter turns
    const bool second = 2 * within > n;
    const double angle = 1.57079632679489661923 * (double(second ? n - within : within) / double(n));
    const double c = __builtin_cos(angle), s = __builtin_sin(angle);
    const double x = second ? s : c, y = second ? c : s;
    re = quadrant == 0 ? x : quadrant == 1 ? -y : quadrant == 2 ? -x : y;
    im = quadrant == 0 ? -y : quadrant == 1 ? -x : quadrant == 2 ? y : x;
}

template <class T>
static inline void roots_of_unity(int64_t count, int64_t n, T* __restrict re, T* __restrict im) {
    const bool mirrored = n % 8 == 0 && count > n / 8;  // then the first eighth of the circle gives the rest
    const int64_t own = mirrored ? n / 8 + 1 : count;
    for (int64_t k = 0; k < own; ++k) {
        double c, s;
        root_of_unity(k, n, c, s);
        re[k] = T(c), im[k] = T(s);
    }
    for (int64_t k = own; k < count && k <= n / 4; ++k) re[k] = -im[n / 4 - k], im[k] = -re[n / 4 - k];
    for (int64_t k = mirrored ? n / 4 + 1 : count; k < count; ++k) re[k] = im[k - n / 4], im[k] = -re[k - n / 4];
}

// Numbers in two arrays.
template <class T>
struct planes {
    T *re, *im;
    planes swapped() const { return {im, re}; }
    planes from(int64_t offset) const { return {re + offset, im + offset}; }
};

// Takes memory from the front of an array.
template <class T>
struct arena {
    T* at;
    planes<T> take(int64_t count) {
        planes<T> taken{at, at + count};
        at += 2 * count;
        return taken;
    }
};

// ------------------------------------------------------------------------------------------------ passes
//
// One pass of radix R over `R * m` rows of `run` numbers: rows p, p + m, ... become rows R p, R p + 1, ..., row R p + j turned by the
// root of unity j p `step`.

template <class T>
static inline void pass_2(int64_t m, int64_t run, int64_t step, planes<T> root, planes<T> x, planes<T> y) {
    for (int64_t p = 0; p < m; ++p) {
        const T c = root.re[p * step], s = root.im[p * step];
        const T *__restrict a = x.re + p * run, *__restrict ai = x.im + p * run;
        const T *__restrict b = a + m * run, *__restrict bi = ai + m * run;
        T *__restrict u = y.re + 2 * p * run, *__restrict ui = y.im + 2 * p * run;
#pragma omp simd
        for (int64_t q = 0; q < run; ++q) {
            const T re = a[q] - b[q], im = ai[q] - bi[q];
            u[q] = a[q] + b[q], ui[q] = ai[q] + bi[q];
            u[run + q] = re * c - im * s, ui[run + q] = re * s + im * c;
        }
    }
}

template <class T>
LAMINA_INLINE void butterfly_4(const T* a, const T* ai, int64_t apart, T* u, T* ui, int64_t along, T c1, T s1, T c2, T s2, T c3, T s3) {
    const T sum = a[0] + a[2 * apart], sum_i = ai[0] + ai[2 * apart], difference = a[0] - a[2 * apart], difference_i = ai[0] - ai[2 * apart];
    const T other = a[apart] + a[3 * apart], other_i = ai[apart] + ai[3 * apart];
    const T turned = ai[apart] - ai[3 * apart], turned_i = a[3 * apart] - a[apart];  // -i times the difference
    u[0] = sum + other, ui[0] = sum_i + other_i;
    const T r1 = difference + turned, i1 = difference_i + turned_i, r2 = sum - other, i2 = sum_i - other_i;
    const T r3 = difference - turned, i3 = difference_i - turned_i;
    u[along] = r1 * c1 - i1 * s1, ui[along] = r1 * s1 + i1 * c1;
    u[2 * along] = r2 * c2 - i2 * s2, ui[2 * along] = r2 * s2 + i2 * c2;
    u[3 * along] = r3 * c3 - i3 * s3, ui[3 * along] = r3 * s3 + i3 * c3;
}

template <class T>
static inline void pass_4(int64_t m, int64_t run, int64_t step, planes<T> root, planes<T> x, planes<T> y) {
    const T *__restrict a = x.re, *__restrict ai = x.im;
    T *__restrict u = y.re, *__restrict ui = y.im;
    if (run == 1) {  // a single line's first pass: along the rows instead
#pragma omp simd
        for (int64_t p = 0; p < m; ++p)
            butterfly_4(a + p, ai + p, m, u + 4 * p, ui + 4 * p, int64_t(1), root.re[p], root.im[p], root.re[2 * p], root.im[2 * p],
                        root.re[3 * p], root.im[3 * p]);
        return;
    }
    for (int64_t p = 0; p < m; ++p) {
        const int64_t k = p * step;
        const T c1 = root.re[k], s1 = root.im[k], c2 = root.re[2 * k], s2 = root.im[2 * k], c3 = root.re[3 * k], s3 = root.im[3 * k];
#pragma omp simd
        for (int64_t q = 0; q < run; ++q)
            butterfly_4(a + p * run + q, ai + p * run + q, m * run, u + 4 * p * run + q, ui + 4 * p * run + q, run, c1, s1, c2, s2, c3, s3);
    }
}

// An odd radix: rows k and R - k enter rows j and R - j by their sum and their difference.
template <int R, class T>
static inline void pass_odd(int64_t m, int64_t run, int64_t step, planes<T> root, planes<T> x, planes<T> y) {
    T c[R], s[R];
    for (int64_t j = 0; j < R; ++j) c[j] = root.re[j * m * step], s[j] = root.im[j * m * step];
    for (int64_t p = 0; p < m; ++p) {
        const T *__restrict a = x.re + p * run, *__restrict ai = x.im + p * run;
        T *__restrict u = y.re + R * p * run, *__restrict ui = y.im + R * p * run;
        T w[R], wi[R];
        for (int64_t j = 0; j < R; ++j) w[j] = root.re[j * p * step], wi[j] = root.im[j * p * step];
#pragma omp simd
        for (int64_t q = 0; q < run; ++q) {
            T sum[R / 2 + 1], sum_i[R / 2 + 1], difference[R / 2 + 1], difference_i[R / 2 + 1];
            T re = a[q], im = ai[q];
#pragma GCC unroll 8
            for (int k = 1; k <= R / 2; ++k) {
                const T b = a[k * m * run + q], bi = ai[k * m * run + q], d = a[(R - k) * m * run + q], di = ai[(R - k) * m * run + q];
                sum[k] = b + d, sum_i[k] = bi + di, difference[k] = b - d, difference_i[k] = bi - di;
                re += sum[k], im += sum_i[k];
            }
            u[q] = re, ui[q] = im;
#pragma GCC unroll 8
            for (int j = 1; j <= R / 2; ++j) {
                T even = a[q], even_i = ai[q], odd = 0, odd_i = 0;
#pragma GCC unroll 8
                for (int k = 1; k <= R / 2; ++k) {
                    const T cosine = c[j * k % R], sine = s[j * k % R];
                    even += sum[k] * cosine, even_i += sum_i[k] * cosine;
                    odd -= difference_i[k] * sine, odd_i += difference[k] * sine;
                }
                const T r = even + odd, i = even_i + odd_i, r2 = even - odd, i2 = even_i - odd_i;
                u[j * run + q] = r * w[j] - i * wi[j], ui[j * run + q] = r * wi[j] + i * w[j];
                u[(R - j) * run + q] = r2 * w[R - j] - i2 * wi[R - j], ui[(R - j) * run + q] = r2 * wi[R - j] + i2 * w[R - j];
            }
        }
    }
}

// Whether a length is a product of the radices.
LAMINA_INLINE bool is_smooth(int64_t n) {
    for (int64_t radix = 2; radix <= largest_radix; ++radix)
        while (n % radix == 0) n /= radix;
    return n == 1;
}

// The transform of `n` rows of `lines` numbers, of a smooth length; the result is in the planes given back.
template <class T>
static inline planes<T> smooth_transform(int64_t n, int64_t lines, planes<T> root, planes<T> x, planes<T> y) {
    for (int64_t left = n, step = 1; left > 1;) {
        int64_t radix = left % 4 == 0 ? 4 : 2;
        while (left % radix != 0) ++radix;
        const int64_t m = left / radix, run = step * lines;
        switch (radix) {
            case 2: pass_2(m, run, step, root, x, y); break;
            case 3: pass_odd<3>(m, run, step, root, x, y); break;
            case 4: pass_4(m, run, step, root, x, y); break;
            case 5: pass_odd<5>(m, run, step, root, x, y); break;
            case 7: pass_odd<7>(m, run, step, root, x, y); break;
            case 11: pass_odd<11>(m, run, step, root, x, y); break;
            default: pass_odd<13>(m, run, step, root, x, y);
        }
        const planes<T> other = x;
        x = y, y = other;
        left = m, step *= radix;
    }
    return x;
}

}  // namespace lamina
