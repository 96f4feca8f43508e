// Stores past the caches.
#pragma once

#include "math_base.hpp"

namespace lamina {

#if defined(__AVX512F__)
constexpr int64_t stream_bytes = 64;
#elif defined(__AVX__)
constexpr int64_t stream_bytes = 32;
#else
constexpr int64_t stream_bytes = 0;
#endif

#if defined(__AVX__)
typedef float stream_vector __attribute__((vector_size(stream_bytes), may_alias));

// Stores past the caches; `target` is aligned to the vector. The intrinsics' header would take longer to read than the kernel to build.
LAMINA_INLINE void stream_store(void* target, stream_vector value) {
#if defined(__clang__)
    __builtin_nontemporal_store(value, static_cast<stream_vector*>(target));
#elif defined(__AVX512F__)
    __builtin_ia32_movntps512(static_cast<float*>(target), value);
#else
    __builtin_ia32_movntps256(static_cast<float*>(target), value);
#endif
}
#endif

// Copies n elements, by streaming stores for the whole vectors of `target`, plainly elsewhere (head, tail, other machines).
// Worth it where the output is larger than the cache and not read again soon; other threads see it after `stream_fence`.
template <class T>
static inline void stream_copy(T* __restrict target, const T* __restrict source, int64_t n) {
    int64_t i = 0;
#if defined(__AVX__)
    constexpr int64_t lanes = stream_bytes / int64_t(sizeof(T));
    const int64_t misaligned = int64_t(reinterpret_cast<uintptr_t>(target) % uintptr_t(stream_bytes));
    if (misaligned % int64_t(sizeof(T)) == 0) {
        const int64_t head = (stream_bytes - misaligned) % stream_bytes / int64_t(sizeof(T));
        for (; i < head && i < n; ++i) target[i] = source[i];
        for (; i + lanes <= n; i += lanes) {
            stream_vector value;
            __builtin_memcpy(&value, source + i, sizeof(value));
            stream_store(target + i, value);
        }
    }
#endif
    for (; i < n; ++i) target[i] = source[i];
}

// To be called once by each thread after its last streaming store.
LAMINA_INLINE void stream_fence() {
#if defined(__AVX__)
    __builtin_ia32_sfence();
#endif
}

}  // namespace lamina
