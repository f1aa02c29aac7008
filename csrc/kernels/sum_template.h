/* Adding up numbers of one type, on one thread. For dtype_template.h. */

#if IS_FLOAT
#define SUM double
#else
#define SUM uint64_t /* wraps around, with and without a sign */
#endif

static inline TYPE
NAME(item)(const char *first, size_t i, ptrdiff_t stride)
{
    return *(const TYPE *)(first + (ptrdiff_t)i * stride);
}

/* `stride` is a constant where items lie side by side. */
static inline SUM
NAME(sum_block)(const char *first, size_t length, ptrdiff_t stride)
{
    SUM lanes[LANES] = {0};
    const size_t whole = length - length % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            lanes[lane] += NAME(item)(first, i + lane, stride);
        }
    }
    for (size_t i = whole; i < length; i++) {
        lanes[i - whole] += NAME(item)(first, i, stride);
    }
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t lane = 0; lane < width; lane++) {
            lanes[lane] += lanes[lane + width];
        }
    }
    return lanes[0];
}

static SUM
NAME(sum_pairwise)(const char *first, size_t length, ptrdiff_t stride)
{
    if (length > BLOCK) {
        const size_t half = length / 2 / LANES * LANES;
        const SUM sum = NAME(sum_pairwise)(first, half, stride);
        return sum + NAME(sum_pairwise)(first + (ptrdiff_t)half * stride, length - half,
                                        stride);
    }
    return stride == (ptrdiff_t)sizeof(TYPE)
               ? NAME(sum_block)(first, length, (ptrdiff_t)sizeof(TYPE))
               : NAME(sum_block)(first, length, stride);
}

static void
NAME(sum)(const trt_items *items, size_t begin, size_t end, trt_total *total)
{
    const char *const first = items->first + (ptrdiff_t)begin * items->stride;
    const SUM sum = NAME(sum_pairwise)(first, end - begin, items->stride);
#if IS_FLOAT
    add_float(total, sum);
#else
    total->integer += sum;
#endif
}

#undef SUM
