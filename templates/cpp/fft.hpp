// Fourier and cosine transforms of any length along one axis, threaded over lines, several lines side by side in a block.
//
// A length with a prime factor larger than the passes of fft_passes.hpp have is a convolution with a chirp (Bluestein, IEEE Trans.
// AU-18(4), 1970) of the next power of two. Real transforms of even length go through half as many complex points; cosine transforms
// through a real one (Makhoul, IEEE Trans. ASSP-28(1), 1980). Lines are never mixed: each result depends on its own line only.
#pragma once

#include "fft_passes.hpp"

namespace lamina {

enum class transforms { fft, ifft, rfft, irfft, dct, idct };

// Of a block: points in all, lines side by side; of lines longer than this a block has one.
constexpr int64_t block_points = 32768, least_lines = 8, most_lines = 64, longest_shared = 131072;

LAMINA_INLINE int64_t lines_at_once(int64_t n) {
    return n > longest_shared ? 1 : max(least_lines, min(most_lines, block_points / n));
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
