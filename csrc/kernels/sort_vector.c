/* Quicksort with vectors of 512 bits (AVX-512F).
 *
 * Of a part, the items below the pivot stay where they are and the others move to the
 * other place, or the other way round. They are compressed in a register, since to
 * compress them to memory takes several times as long on some processors, and stored
 * whole: what is behind them is overwritten next. A short part is sorted in registers
 * by a bitonic network (Batcher, AFIPS 1968). See Bramas, A Novel Hybrid Quicksort
 * Algorithm Vectorized using AVX-512 on Intel Skylake, IJACSA 8, 2017.
 */
#include "kernels/sort_vector.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,bmi2,popcnt")))
#define INLINE static inline TARGET __attribute__((always_inline))

enum {
    VECTORS = 16, /* of a part that is sorted in registers, of which there are 32 */
    BATCH = 4,    /* vectors that are divided at a time, so that none waits */
};

#define ITEM int64_t
#define NATURAL uint64_t
#define LANES 8
#define MASK __mmask8
#define NUMBERS(with)                                                                  \
    _mm512_xor_si512(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(with))
#define OP(name) _mm512_##name##_epi64
#define OP2(name) _mm512_##name##_epi64_mask
#define NAME(noun) noun##_64
#include "kernels/sort_vector_template.h"

#define ITEM int32_t
#define NATURAL uint32_t
#define LANES 16
#define MASK __mmask16
#define NUMBERS(with)                                                                  \
    _mm512_xor_si512(                                                                  \
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),        \
        _mm512_set1_epi32(with))
#define OP(name) _mm512_##name##_epi32
#define OP2(name) _mm512_##name##_epi32_mask
#define NAME(noun) noun##_32
#include "kernels/sort_vector_template.h"

bool
trt_sort_vectors(void *items, void *spare, size_t length, size_t size, bool stay,
                 trt_signing signing)
{
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("bmi2")) {
        return false;
    }
    return size == sizeof(int64_t)   ? sort_64(items, spare, length, stay, signing)
           : size == sizeof(int32_t) ? sort_32(items, spare, length, stay, signing)
                                     : false;
}

#else

bool
trt_sort_vectors(void *items, void *spare, size_t length, size_t size, bool stay,
                 trt_signing signing)
{
    (void)items;
    (void)spare;
    (void)length;
    (void)size;
    (void)stay;
    (void)signing;
    return false;
}

#endif
