// Fourier and cosine transforms of any length along one axis, threaded over lines, several lines side by side in a block.
//
// Complex transforms are Stockham's (no reordering; passes of radix 4, 2, 3, 5, 7, 11, 13); a length with a larger prime factor is a
// convolution with a chirp (Bluestein, IEEE Trans. AU-18(4), 1970) of the next power of two. Real ones of even length go through half as
// many complex points; cosine transforms through a real one (Makhoul, IEEE Trans. ASSP-28(1), 1980). Roots of unity are computed in
// float64 within an octant, so that errors grow as log n. Lines are never mixed: each result depends on its own line only.
#pragma once

#include "loops.hpp"

namespace lamina {

enum class transforms { fft, ifft, rfft, irfft, dct, idct };

// Of a block: points in all, lines side by side; of lines longer than this a block has one.
constexpr int64_t block_points = 32768, least_lines = 8, most_lines = 64, longest_shared = 131072;
constexpr int64_t largest_radix = 13;

LAMINA_INLINE int64_t lines_at_once(int64_t n) {
    return n > longest_shared ? 1 : max(least_lines, min(most_lines, block_points / n));
}

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

// ------------------------------------------------------------------------------------------------ any length

LAMINA_INLINE int64_t convolution_length(int64_t n) {
    int64_t padded = 1;
    while (padded < 2 * n - 1) padded *= 2;
    return padded;
}

// A complex transform of `length` points; `points` rows are needed to compute it.
template <class T>
struct fourier {
    int64_t length, points;
    planes<T> root, chirp, spectrum;  // the latter two where the length is not smooth

    fourier(int64_t n, arena<T>& memory, T* room) : length(n), points(is_smooth(n) ? n : convolution_length(n)) {
        root = memory.take(points);
        roots_of_unity(points, points, root.re, root.im);
        if (points == length) return;
        chirp = memory.take(length), spectrum = memory.take(points);
        for (int64_t k = 0; k < length; ++k) {  // e^(-pi i k^2 / n)
            double re, im;
            root_of_unity(int64_t(uint64_t(k) * uint64_t(k) % uint64_t(2 * length)), 2 * length, re, im);
            chirp.re[k] = T(re), chirp.im[k] = T(im);
        }
        arena<T> rest{room};
        const planes<T> x = rest.take(points), y = rest.take(points);
        fill(x.re, 2 * points, T(0));
        for (int64_t k = 0; k < length; ++k) {
            x.re[k] = x.re[(points - k) % points] = chirp.re[k] / T(points);
            x.im[k] = x.im[(points - k) % points] = -chirp.im[k] / T(points);
        }
        const planes<T> found = smooth_transform(points, int64_t(1), root, x, y);
        for (int64_t k = 0; k < points; ++k) spectrum.re[k] = found.re[k], spectrum.im[k] = found.im[k];
    }

    static void multiply(int64_t rows, int64_t lines, planes<T> by, planes<T> x) {
        for (int64_t k = 0; k < rows; ++k) {
            const T c = by.re[k], s = by.im[k];
            T *__restrict a = x.re + k * lines, *__restrict ai = x.im + k * lines;
#pragma omp simd
            for (int64_t q = 0; q < lines; ++q) {
                const T re = a[q] * c - ai[q] * s;
                ai[q] = a[q] * s + ai[q] * c, a[q] = re;
            }
        }
    }

    // Of the rows in x; y has room for as many.
    planes<T> operator()(int64_t lines, planes<T> x, planes<T> y) const {
        if (points == length) return smooth_transform(length, lines, root, x, y);
        multiply(length, lines, chirp, x);
        fill(x.re + length * lines, (points - length) * lines, T(0));
        fill(x.im + length * lines, (points - length) * lines, T(0));
        planes<T> found = smooth_transform(points, lines, root, x, y);
        const planes<T> other = found.re == x.re ? y : x;
        multiply(points, lines, spectrum, found);
        found = smooth_transform(points, lines, root, found.swapped(), other.swapped()).swapped();  // the inverse
        multiply(length, lines, chirp, found);
        return found;
    }
};

// ------------------------------------------------------------------------------------------------ lines

// Lines of a tensor of outer x length x inner numbers: line l begins at (l / inner) length inner + l % inner.
struct lines_of {
    static constexpr int64_t piece = 16;
    int64_t length, inner, count;
    int64_t begin[most_lines];
    bool adjacent;

    lines_of(int64_t first, int64_t lines, int64_t points, int64_t apart) : length(points), inner(apart), count(lines) {
        for (int64_t l = 0; l < lines; ++l) begin[l] = (first + l) / apart * points * apart + (first + l) % apart;
        adjacent = begin[lines - 1] - begin[0] == lines - 1;
    }
    // Rows of a block from the numbers at positions of the lines; zeros beyond their ends. `place(j)`: the position of row j, `row(j)`:
    // where the row is. Lines apart are read some positions at a time, so that what is fetched of one is used at once.
    template <class T, class Place, class Row>
    void load(const T* from, int64_t rows, Place place, Row row) const {
        for (int64_t first = 0; first < rows; first += piece) {
            const int64_t last = min(first + piece, rows);
            for (int64_t j = first; j < last; ++j) {
                T* const into = row(j);
                if (from == nullptr || place(j) >= length) fill(into, count, T(0));
                else if (adjacent)
                    for (int64_t l = 0; l < count; ++l) into[l] = from[begin[0] + place(j) * inner + l];
            }
            if (from == nullptr || adjacent) continue;
            for (int64_t l = 0; l < count; ++l)
                for (int64_t j = first; j < last; ++j)
                    if (place(j) < length) row(j)[l] = from[begin[l] + place(j) * inner];
        }
    }
    template <class T, class Place, class Row>
    void store(T* to, int64_t rows, Place place, Row row, T scale) const {
        for (int64_t first = 0; first < rows; first += piece) {
            const int64_t last = min(first + piece, rows);
            if (adjacent) {
                for (int64_t j = first; j < last; ++j)
                    if (place(j) < length)
                        for (int64_t l = 0; l < count; ++l) to[begin[0] + place(j) * inner + l] = scale * row(j)[l];
                continue;
            }
            for (int64_t l = 0; l < count; ++l)
                for (int64_t j = first; j < last; ++j)
                    if (place(j) < length) to[begin[l] + place(j) * inner] = scale * row(j)[l];
        }
    }
    template <class T>
    void clear(T* to, int64_t from) const {
        for (int64_t position = from; position < length; ++position)
            for (int64_t l = 0; l < count; ++l) to[begin[l] + position * inner] = T(0);
    }
};

// The real transform of n points: the first n / 2 + 1 rows of the spectrum, from all rows of the complex transform of n / 2 points
// whose real parts are the points of even, whose imaginary parts those of odd number; `turn` has the n-th roots of unity.
template <class T>
static inline void untangle(int64_t n, int64_t lines, planes<T> turn, planes<T> z, planes<T> spectrum) {
    const int64_t half = n / 2;
    for (int64_t k = 0; k <= half; ++k) {
        const T c = turn.re[k], s = turn.im[k];
        const planes<T> a = z.from(k % half * lines), b = z.from((half - k) % half * lines), u = spectrum.from(k * lines);
#pragma omp simd
        for (int64_t q = 0; q < lines; ++q) {
            const T even = a.re[q] + b.re[q], even_i = a.im[q] - b.im[q], odd = a.im[q] + b.im[q], odd_i = b.re[q] - a.re[q];
            u.re[q] = T(0.5) * (even + odd * c - odd_i * s);
            u.im[q] = T(0.5) * (even_i + odd * s + odd_i * c);
        }
    }
}

// The other way: what the inverse complex transform of n / 2 points makes the points of, from n / 2 + 1 rows of a spectrum.
template <class T>
static inline void tangle(int64_t n, int64_t lines, planes<T> turn, planes<T> spectrum, planes<T> z) {
    const int64_t half = n / 2;
    for (int64_t k = 0; k < half; ++k) {
        const T c = turn.re[k], s = turn.im[k];
        const planes<T> a = spectrum.from(k * lines), b = spectrum.from((half - k) * lines), u = z.from(k * lines);
#pragma omp simd
        for (int64_t q = 0; q < lines; ++q) {
            const T even = a.re[q] + b.re[q], even_i = a.im[q] - b.im[q], difference = a.re[q] - b.re[q], difference_i = a.im[q] + b.im[q];
            const T odd = difference * c + difference_i * s, odd_i = difference_i * c - difference * s;
            u.re[q] = T(0.5) * (even - odd_i), u.im[q] = T(0.5) * (even_i + odd);
        }
    }
}

template <transforms F, class T>
struct line_transform {
    static constexpr bool real = F != transforms::fft && F != transforms::ifft;
    static constexpr bool cosine = F == transforms::dct || F == transforms::idct;
    static constexpr bool forward = F == transforms::fft || F == transforms::rfft || F == transforms::dct;
    int64_t n;
    bool halved;
    planes<T> turn, quarter;  // n-th and 4n-th roots of unity, where needed
    fourier<T> complex_transform;

    line_transform(int64_t points, arena<T>& memory, T* room)
        : n(points), halved(real && points % 2 == 0), complex_transform(halved ? points / 2 : points, memory, room) {
        if (halved) turn = memory.take(n / 2 + 1), roots_of_unity(n / 2 + 1, n, turn.re, turn.im);
        if (cosine) quarter = memory.take(n / 2 + 1), roots_of_unity(n / 2 + 1, 4 * n, quarter.re, quarter.im);
    }

    // Rows that a block needs.
    int64_t rows() const { return complex_transform.points + 1; }

    // Where point j of the line that is transformed comes from: in Makhoul's order, even ones first, then the odd ones backwards.
    int64_t source(int64_t j) const { return !cosine ? j : 2 * j < n ? 2 * j : 2 * (n - j) - 1; }

    static int64_t same(int64_t j) { return j; }

    // The row of point j: of a halved transform the even ones are real parts, the odd ones imaginary parts.
    T* point(planes<T> x, int64_t j, int64_t lines) const {
        return halved ? (j % 2 == 0 ? x.re : x.im) + j / 2 * lines : x.re + j * lines;
    }

    void operator()(const lines_of& from, const T* re, const T* im, const lines_of& to, T* to_re, T* to_im, planes<T> x, planes<T> y) const {
        const int64_t lines = from.count;
        if constexpr (!real) {
            const planes<T> into = forward ? x : x.swapped();
            from.load(re, n, same, [&](int64_t j) { return into.re + j * lines; });
            from.load(im, n, same, [&](int64_t j) { return into.im + j * lines; });
            const planes<T> z = complex_transform(lines, x, y), found = forward ? z : z.swapped();
            const T scale = forward ? T(1) : T(1) / T(n);
            to.store(to_re, n, same, [&](int64_t k) { return found.re + k * lines; }, scale);
            to.store(to_im, n, same, [&](int64_t k) { return found.im + k * lines; }, scale);
            to.clear(to_re, n), to.clear(to_im, n);
        } else if constexpr (forward) {
            from.load(re, n, [&](int64_t j) { return source(j); }, [&](int64_t j) { return point(x, j, lines); });
            if (!halved) fill(x.im, n * lines, T(0));
            planes<T> found = complex_transform(lines, x, y);
            if (halved) {
                const planes<T> spectrum = found.re == x.re ? y : x;
                untangle(n, lines, turn, found, spectrum);
                found = spectrum;
            }
            store_spectrum(lines, found, to, to_re, to_im);
        } else {
            load_spectrum(lines, from, re, im, y);
            if (halved) {
                tangle(n, lines, turn, y, x);
            } else {
                for (int64_t k = 0; k <= n / 2; ++k)
                    for (int64_t q = 0; q < lines; ++q) {
                        const int64_t mirrored = (n - k) % n;
                        x.re[mirrored * lines + q] = y.re[k * lines + q], x.im[mirrored * lines + q] = -y.im[k * lines + q];
                        x.re[k * lines + q] = y.re[k * lines + q], x.im[k * lines + q] = y.im[k * lines + q];
                    }
            }
            const planes<T> found = complex_transform(lines, x.swapped(), y.swapped()).swapped();
            const T scale = T(1) / T(halved ? n / 2 : n);
            to.store(to_re, n, [&](int64_t j) { return source(j); }, [&](int64_t j) { return point(found, j, lines); }, scale);
            to.clear(to_re, n);
        }
    }

    void store_spectrum(int64_t lines, planes<T> found, const lines_of& to, T* to_re, T* to_im) const {
        const auto real_row = [&](int64_t k) { return found.re + k * lines; };
        if constexpr (cosine) {
            for (int64_t k = 0; k <= n / 2; ++k) {
                T *const a = found.re + k * lines, *const ai = found.im + k * lines;
                const T c = quarter.re[k], s = quarter.im[k];
                for (int64_t q = 0; q < lines; ++q) {
                    const T re = T(2) * (a[q] * c - ai[q] * s);
                    ai[q] = T(-2) * (a[q] * s + ai[q] * c), a[q] = re;
                }
            }
            to.store(to_re, n / 2 + 1, same, real_row, T(1));
            // rows 1, 2, ... below the middle are points n - 1, n - 2, ...
            const auto mirrored = [&](int64_t k) { return n - 1 - k; };
            to.store(to_re, (n - 1) / 2, mirrored, [&](int64_t k) { return found.im + (k + 1) * lines; }, T(1));
        } else {
            to.store(to_re, n / 2 + 1, same, real_row, T(1));
            to.store(to_im, n / 2 + 1, same, [&](int64_t k) { return found.im + k * lines; }, T(1));
        }
        to.clear(to_re, cosine ? n : n / 2 + 1);
        if constexpr (!cosine) to.clear(to_im, n / 2 + 1);
    }

    void load_spectrum(int64_t lines, const lines_of& from, const T* re, const T* im, planes<T> y) const {
        const auto imaginary_row = [&](int64_t k) { return y.im + k * lines; };
        from.load(re, n / 2 + 1, same, [&](int64_t k) { return y.re + k * lines; });
        if constexpr (cosine) {
            // point n, which would be the first row's, is zero
            from.load(re, n / 2 + 1, [&](int64_t k) { return k == 0 ? from.length : n - k; }, imaginary_row);
            for (int64_t k = 0; k <= n / 2; ++k) {
                T *const a = y.re + k * lines, *const ai = y.im + k * lines;
                const T c = T(0.5) * quarter.re[k], s = T(0.5) * quarter.im[k];  // of the conjugate root: (c - i s)(a - i b)
                for (int64_t q = 0; q < lines; ++q) {
                    const T value = a[q] * c - ai[q] * s;
                    ai[q] = -(a[q] * s + ai[q] * c), a[q] = value;
                }
            }
        } else {
            // what would not be there in the spectrum of real points is not read
            from.load(im, n / 2 + 1, [&](int64_t k) { return k == 0 || 2 * k == n ? from.length : k; }, imaginary_row);
        }
    }
};

// to[outer][to_length][inner] = the transform of n points of from[outer][from_length][inner], cut or padded with zeros to these lengths;
// an imaginary part that is not there is null. `workspace`: workspace_words(n, threads) elements.
template <transforms F, class T>
static inline void transform(int64_t threads, T* workspace, int64_t outer, int64_t from_length, int64_t to_length, int64_t inner, int64_t n,
                             const T* re, const T* im, T* to_re, T* to_im) {
    const int64_t lines = outer * inner;
    if (lines == 0 || to_length == 0 || n < 1) return;
    const int64_t most = lines_at_once(n);
    arena<T> memory{workspace};
    const line_transform<F, T> one(n, memory, workspace + 24 * n + 64);
    const int64_t share = min(most, (lines + threads - 1) / threads), side = share > 16 ? share / 16 * 16 : share;
    const int64_t blocks = (lines + side - 1) / side, team = team_size(threads, blocks, lines * n * 8);
    const int64_t own = 16 * n * most + 8 * most + 64;
#pragma omp parallel num_threads(team) if (team > 1)
    {
        const int64_t members = omp_get_num_threads(), member = omp_get_thread_num();
        arena<T> room{workspace + 24 * n + 64 + member * own};
        const planes<T> x = room.take(one.rows() * side), y = room.take(one.rows() * side);
        for (int64_t block = blocks * member / members; block < blocks * (member + 1) / members; ++block) {
            const int64_t first = block * side, count = min(side, lines - first);
            one(lines_of(first, count, from_length, inner), re, im, lines_of(first, count, to_length, inner), to_re, to_im, x, y);
        }
    }
}

}  // namespace lamina
