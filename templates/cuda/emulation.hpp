// A device on the host: blocks run one after another, the threads of a block as fibers that switch at barriers. It stands before an
// emitted CUDA program, which a C++ compiler then compiles; tests run every kernel's index arithmetic so.
//
// A fiber runs until it reaches a barrier (of its block or its warp) or ends. A barrier opens when all threads that it is for have
// come to it; where some have ended and others wait, or wait at different barriers, no thread can go on: the launch fails, as it
// would hang or be undefined on a device. Threads run in order of their number, so results do not depend on anything else.
#pragma once

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct emulated_index {
    unsigned x, y, z;
};
static emulated_index threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace lamina {

constexpr unsigned most_emulated_threads = 1024;
constexpr size_t fiber_stack = 256 * 1024;

enum fiber_state : char { running, at_block, at_warp, ended };

struct fiber {
    jmp_buf place;
    ucontext_t first;
    bool started;
    fiber_state state;
};

static fiber fibers[most_emulated_threads];
static jmp_buf scheduler;
static ucontext_t scheduler_first;
static unsigned current_fiber;
static void (*emulated_kernel)(const int64_t*);
static const int64_t* emulated_words;
static char* emulated_stacks;
alignas(8) static char shuffled[most_emulated_threads][8];

// Back to the scheduler, until it resumes this fiber.
static void give_way(fiber_state state) {
    fiber& own = fibers[current_fiber];
    own.state = state;
    if (!_setjmp(own.place)) _longjmp(scheduler, 1);
}

// A fiber runs the kernel once for each block.
static void fiber_main() {
    for (;;) {
        emulated_kernel(emulated_words);
        give_way(ended);
    }
}

static void resume(unsigned number) {
    fiber& next = fibers[number];
    current_fiber = number;
    threadIdx = {number, 0, 0};
    next.state = running;
    if (_setjmp(scheduler)) return;
    if (next.started) _longjmp(next.place, 1);
    next.started = true;
    getcontext(&next.first);
    next.first.uc_stack.ss_sp = emulated_stacks + size_t(number) * fiber_stack;
    next.first.uc_stack.ss_size = fiber_stack;
    next.first.uc_link = nullptr;
    makecontext(&next.first, fiber_main, 0);
    setcontext(&next.first);
}

// Lets the threads of a warp go on, where all that have not ended wait for each other; the whole block likewise.
static bool release(unsigned threads) {
    bool released = false, all = true;
    for (unsigned first = 0; first < threads; first += 32) {
        const unsigned last = first + 32 < threads ? first + 32 : threads;
        bool together = true, any = false;
        for (unsigned k = first; k < last; ++k) {
            together = together && fibers[k].state == at_warp;
            any = any || fibers[k].state == at_warp;
            all = all && fibers[k].state == at_block;
        }
        if (together && any) {
            for (unsigned k = first; k < last; ++k) fibers[k].state = running;
            released = true;
        }
    }
    if (all)
        for (unsigned k = 0; k < threads; ++k) fibers[k].state = running;
    return released || all;
}

static bool run_block(unsigned threads) {
    for (unsigned k = 0; k < threads; ++k) fibers[k].state = running;
    for (;;) {
        bool left = false;
        for (unsigned k = 0; k < threads; ++k)
            if (fibers[k].state == running) resume(k);
        for (unsigned k = 0; k < threads; ++k) left = left || fibers[k].state != ended;
        if (!left) return true;
        if (!release(threads)) return false;
    }
}

// Runs a kernel: 0, or 1 where threads wait for each other in vain, 2 where there is no memory for their stacks.
static int emulate(void (*kernel)(const int64_t*), const int64_t* grid, int64_t threads, const int64_t* words, bool barriers) {
    if (!emulated_stacks) {
        void* room = mmap(nullptr, most_emulated_threads * fiber_stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED) return 2;
        emulated_stacks = static_cast<char*>(room);
    }
    emulated_kernel = kernel, emulated_words = words;
    gridDim = {unsigned(grid[0]), unsigned(grid[1]), unsigned(grid[2])};
    blockDim = {unsigned(threads), 1, 1};
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                if (barriers) {
                    if (!run_block(unsigned(threads))) {
                        for (unsigned k = 0; k < threads; ++k) fibers[k].started = false;
                        return 1;
                    }
                } else {
                    for (unsigned k = 0; k < unsigned(threads); ++k) threadIdx = {k, 0, 0}, kernel(words);
                }
            }
    return 0;
}

// ------------------------------------------------------------------------------------------------ a kernel's arguments

template <unsigned N, class First, class... Rest>
struct nth : nth<N - 1, Rest...> {};
template <class First, class... Rest>
struct nth<0, First, Rest...> {
    using type = First;
};

// An argument takes as many words as it has bytes for, eight each, as in the buffer that a launch passes to a device.
template <class T>
struct argument {
    static constexpr unsigned words = (sizeof(T) + 7) / 8;
    static T from(const int64_t* given) {
        T value;
        memcpy(&value, given, sizeof(T));
        return value;
    }
};

template <auto kernel>
struct unpacked;
template <class... T, void (*kernel)(T...)>
struct unpacked<kernel> {
    template <class... Known>
    static void call(const int64_t* given, Known... known) {
        if constexpr (sizeof...(Known) == sizeof...(T)) {
            kernel(known...);
        } else {
            using Next = typename nth<sizeof...(Known), T...>::type;
            call(given + argument<Next>::words, known..., argument<Next>::from(given));
        }
    }
    static void run(const int64_t* given) { call(given); }
};

template <class T>
static T from_lane(T value, unsigned lane, unsigned own) {
    static_assert(sizeof(T) <= 8, "a shuffle moves eight bytes at most");
    memcpy(shuffled[current_fiber], &value, sizeof(T));
    give_way(at_warp);
    T result = value;
    const unsigned warp = own / 32 * 32;
    if (warp + lane < blockDim.x) memcpy(&result, shuffled[warp + lane], sizeof(T));
    give_way(at_warp);
    return result;
}

}  // namespace lamina

// ------------------------------------------------------------------------------------------------ what kernels call

static inline void __syncthreads() { lamina::give_way(lamina::at_block); }
static inline void __syncwarp(unsigned = ~0u) { lamina::give_way(lamina::at_warp); }

template <class T>
static T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
    const unsigned own = threadIdx.x, lane = own % 32, other = lane ^ unsigned(mask);
    return lamina::from_lane(value, other / width <= lane / width ? other : lane, own);
}
template <class T>
static T __shfl_down_sync(unsigned, T value, unsigned delta, int width = 32) {
    const unsigned own = threadIdx.x, lane = own % 32;
    return lamina::from_lane(value, lane % width + delta < unsigned(width) ? lane + delta : lane, own);
}
template <class T>
static T __shfl_sync(unsigned, T value, int source, int width = 32) {
    const unsigned own = threadIdx.x, lane = own % 32;
    return lamina::from_lane(value, lane / width * width + unsigned(source) % width, own);
}
