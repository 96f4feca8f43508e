// Loops over tiles of rows: which tiles there are, how threads divide them, and how sums over the rows are put together.
#pragma once

#include "loops.hpp"

namespace lamina {

constexpr int64_t tile_unit = 16;     // tiles have a multiple of so many rows, but for the last
constexpr int64_t least_extent = 64;  // shorter tiles are not made for the sake of more threads

// `batch` times the tiles of the rows 0 .. rows-1: `blocks` of them, `extent` rows each, but for the last.
struct tiling {
    int64_t batch, extent, blocks;
    bool divisible;

    int64_t count() const { return batch * blocks; }

    // What threads are given whole.
    int64_t pieces() const { return divisible ? count() : batch; }

    int64_t begin(int64_t member, int64_t members) const {
        return pieces() * member / members * (divisible ? 1 : blocks);
    }

    // Whether the thread whose tiles begin at `begin` goes on with rows that another has begun.
    bool continued(int64_t begin, int64_t tile) const { return begin % blocks != 0 && tile / blocks == begin / blocks; }
};

// Tiles of at most `most` rows; more and shorter ones where threads would have nothing to do.
static inline tiling tiles_of(int64_t threads, int64_t batch, int64_t rows, int64_t most, bool divisible) {
    int64_t wanted = (rows + most - 1) / most;
    if (divisible && threads > 1) {
        const int64_t useful = (2 * threads + at_least_one(batch) - 1) / at_least_one(batch);
        wanted = max(wanted, min(useful, (rows + least_extent - 1) / least_extent));
    }
    const int64_t even = (rows + at_least_one(wanted) - 1) / at_least_one(wanted);
    const int64_t extent = at_least_one((even + tile_unit - 1) / tile_unit) * tile_unit;
    return {batch, extent, (rows + extent - 1) / extent, divisible};
}

// Adds each thread's partial result, of the rows that it went on with, to the result in the order of the threads. Every thread adds up
// its share of the elements.
template <class T>
static inline void add_partials(T* result, const T* partial, int64_t size, const tiling& tiles, int64_t member, int64_t members) {
    const int64_t low = size * member / members, high = size * (member + 1) / members;
    for (int64_t other = 1; other < members; ++other) {
        const int64_t begin = tiles.begin(other, members), end = tiles.begin(other + 1, members);
        if (begin == end || begin % tiles.blocks == 0) continue;
        T* __restrict const target = result + begin / tiles.blocks * size;
        const T* __restrict const source = partial + (other - 1) * size;
        for (int64_t i = low; i < high; ++i) target[i] += source[i];
    }
}

}  // namespace lamina
