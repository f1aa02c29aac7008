/* The kernels of sorting: one for each size of integers, which signed and unsigned ones
 * share, one for either size of floats, and one for packed words. */
#include "kernels/sort_ranks.h"

#include <string.h>

enum {
    /* Bits of a digit in a leaf, at the most. */
    DIGIT_MAX = 12,
    /* Bits by which a leaf is sorted beyond those of its length: with three, one item
     * in eight to sixteen has the same as another. */
    EXTRA_BITS = 3,
};

#if defined(__GNUC__) || defined(__clang__)
#define NO_INLINE __attribute__((noinline))
#define UNLIKELY(x) __builtin_expect(x, 0)
#else
#define NO_INLINE
#define UNLIKELY(x) (x)
#endif

_Static_assert(1 << (2 * DIGIT_MAX - EXTRA_BITS) > TRT_SORT_LEAF_MAX,
               "two digits have the bits of a leaf");

/* Turn how many there are of each digit into where they begin. */
static void
to_places(uint32_t *counts, size_t digits)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < digits; i++) {
        const uint32_t count = counts[i];
        counts[i] = sum;
        sum += count;
    }
}

/* ---- integers -------------------------------------------------------------------- */

#define ITEM uint8_t
#define RANK uint32_t
#define RANK_OF(x) ((uint8_t)((x) ^ (uint8_t)order->flip))
#define MOST UINT8_MAX
#define HAS_NANS 0
#define HAS_PACKING 1
#define NAME(noun) noun##_bytes
#include "kernels/sort_template.h"

#define ITEM uint16_t
#define RANK uint32_t
#define RANK_OF(x) ((uint16_t)((x) ^ (uint16_t)order->flip))
#define MOST UINT16_MAX
#define HAS_NANS 0
#define HAS_PACKING 1
#define NAME(noun) noun##_pairs
#include "kernels/sort_template.h"

#define ITEM uint32_t
#define RANK uint32_t
#define RANK_OF(x) ((x) ^ (uint32_t)order->flip)
#define MOST UINT32_MAX
#define HAS_NANS 0
#define HAS_PACKING 1
#define NAME(noun) noun##_words
#include "kernels/sort_template.h"

#define ITEM uint64_t
#define RANK uint64_t
#define RANK_OF(x) ((x) ^ order->flip)
#define MOST UINT64_MAX
#define HAS_NANS 0
#define HAS_PACKING 1
#define NAME(noun) noun##_double_words
#include "kernels/sort_template.h"

/* ---- floats ---------------------------------------------------------------------- */

#define INFINITE_32 (UINT32_C(0xff) << 23)
#define INFINITE_64 (UINT64_C(0x7ff) << 52)

/* The magnitude with its sign, and what makes that of negative infinity zero. NaNs are
 * farther from zero than the infinities, and wrap around on the negative side. */
static inline uint32_t
rank_of_float32(float x, uint32_t flip)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = (0 - (bits >> 31)) ^ flip;
    return (((bits & INT32_MAX) ^ sign) - sign) + INFINITE_32;
}

static inline uint64_t
rank_of_float64(double x, uint64_t flip)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t sign = (0 - (bits >> 63)) ^ flip;
    return (((bits & INT64_MAX) ^ sign) - sign) + INFINITE_64;
}

#define ITEM float
#define RANK uint32_t
#define RANK_OF(x) rank_of_float32(x, (uint32_t)order->flip)
#define MOST (2 * INFINITE_32)
#define HAS_NANS 1
#define HAS_PACKING 1
#define NAME(noun) noun##_float32
#include "kernels/sort_template.h"

#define ITEM double
#define RANK uint64_t
#define RANK_OF(x) rank_of_float64(x, order->flip)
#define MOST (2 * INFINITE_64)
#define HAS_NANS 1
#define HAS_PACKING 1
#define NAME(noun) noun##_float64
#include "kernels/sort_template.h"

/* ---- packed words ---------------------------------------------------------------- */

#define ITEM uint64_t
#define RANK uint64_t
#define RANK_OF(x) ((x) >> order->drop)
#define MOST UINT64_MAX
#define HAS_NANS 0
#define HAS_PACKING 0
#define NAME(noun) noun##_packed
#include "kernels/sort_template.h"

const trt_rank_kernel *const trt_rank_words = &kernel_packed;

const trt_rank_kernel *
trt_rank_find(trt_dtype dtype, bool reverse, trt_order *order)
{
    static const struct {
        const trt_rank_kernel *kernel;
        uint64_t flip;
    } of[TRT_DTYPES] = {
        [TRT_INT8] = {&kernel_bytes, UINT64_C(1) << 7},
        [TRT_INT16] = {&kernel_pairs, UINT64_C(1) << 15},
        [TRT_INT32] = {&kernel_words, UINT64_C(1) << 31},
        [TRT_INT64] = {&kernel_double_words, UINT64_C(1) << 63},
        [TRT_UINT8] = {&kernel_bytes, 0},
        [TRT_UINT16] = {&kernel_pairs, 0},
        [TRT_UINT32] = {&kernel_words, 0},
        [TRT_UINT64] = {&kernel_double_words, 0},
        [TRT_FLOAT32] = {&kernel_float32, 0},
        [TRT_FLOAT64] = {&kernel_float64, 0},
    };
    const uint64_t flip = of[dtype].flip;
    *order = (trt_order){.flip = reverse ? ~flip : flip};
    return of[dtype].kernel;
}
