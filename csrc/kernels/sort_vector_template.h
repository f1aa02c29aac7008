/* The loops of sort_vector.c, for integers with a sign of one size. It defines
 *
 *   ITEM, NATURAL   the type of items, and that without a sign
 *   LANES           items in a vector
 *   MASK            the type of a mask with a bit for each
 *   NUMBERS(with)   a vector of the numbers of lanes, some bits of them inverted
 *   OP(name)        the operation of that name on such vectors
 *   OP2(name)       likewise, where its outcome is a mask
 *   NAME(n)         `n` with the size behind it */

#define BITS (8 * sizeof(ITEM))

/* ---- in registers ---------------------------------------------------------------- */

/* Compare the lanes whose numbers differ by `with`, and put the larger item into the
 * one whose number has the bit `up`. */
INLINE __m512i
NAME(exchange)(__m512i v, ITEM with, ITEM up)
{
    const MASK upper = (MASK)(up == 1   ? 0xAAAA
                              : up == 2 ? 0xCCCC
                              : up == 4 ? 0xF0F0
                                        : 0xFF00);
    const __m512i other = OP(permutexvar)(NUMBERS(with), v);
    return OP(mask_max)(OP(min)(v, other), upper, v, other);
}

/* Sort the lanes of a vector that goes up and then down. */
INLINE __m512i
NAME(straighten)(__m512i v)
{
#if LANES == 16
    v = NAME(exchange)(v, 8, 8);
#endif
    v = NAME(exchange)(v, 4, 4);
    v = NAME(exchange)(v, 2, 2);
    return NAME(exchange)(v, 1, 1);
}

INLINE __m512i
NAME(sort_lanes)(__m512i v)
{
    v = NAME(exchange)(v, 1, 1);
    v = NAME(exchange)(v, 3, 2);
    v = NAME(exchange)(v, 1, 1);
    v = NAME(exchange)(v, 7, 4);
    v = NAME(exchange)(v, 2, 2);
    v = NAME(exchange)(v, 1, 1);
#if LANES == 16
    v = NAME(exchange)(v, 15, 8);
    v = NAME(exchange)(v, 4, 4);
    v = NAME(exchange)(v, 2, 2);
    v = NAME(exchange)(v, 1, 1);
#endif
    return v;
}

/* Merge two sorted halves of `count` vectors. */
INLINE void
NAME(merge_vectors)(__m512i *v, unsigned count)
{
    const __m512i backwards = NUMBERS(LANES - 1);
#pragma GCC unroll 16
    for (unsigned i = 0; i < count / 2; i++) {
        const __m512i low = v[i], high = OP(permutexvar)(backwards, v[count - 1 - i]);
        v[i] = OP(min)(low, high);
        v[count - 1 - i] = OP(max)(low, high);
    }
    /* The upper half is back to front, which does not matter: it goes up and down. */
#pragma GCC unroll 16
    for (unsigned step = count / 4; step > 0; step /= 2) {
#pragma GCC unroll 16
        for (unsigned i = 0; i < count; i++) {
            if ((i & step) == 0) {
                const __m512i low = v[i], high = v[i + step];
                v[i] = OP(min)(low, high);
                v[i + step] = OP(max)(low, high);
            }
        }
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < count; i++) {
        v[i] = NAME(straighten)(v[i]);
    }
}

/* The mask of the first `count` lanes. */
INLINE MASK
NAME(first_lanes)(size_t count)
{
    return (MASK)_bzhi_u32((1U << LANES) - 1, (unsigned)count);
}

/* Sort at most `count` vectors. */
INLINE void
NAME(sort_vectors)(const ITEM *from, ITEM *to, size_t length, unsigned count)
{
    __m512i v[VECTORS];
    const __m512i most = OP(set1)((ITEM)(((NATURAL)1 << (BITS - 1)) - 1));
#pragma GCC unroll 16
    for (unsigned i = 0; i < count; i++) {
        const size_t begin = i * LANES;
        const size_t rest = length > begin ? length - begin : 0;
        const MASK lanes = NAME(first_lanes)(rest < LANES ? rest : LANES);
        v[i] = NAME(sort_lanes)(OP(mask_loadu)(most, lanes, from + begin));
    }
#pragma GCC unroll 16
    for (unsigned width = 2; width <= count; width *= 2) {
#pragma GCC unroll 16
        for (unsigned i = 0; i < count; i += width) {
            NAME(merge_vectors)(v + i, width);
        }
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < count; i++) {
        const size_t begin = i * LANES;
        const size_t rest = length > begin ? length - begin : 0;
        const MASK lanes = NAME(first_lanes)(rest < LANES ? rest : LANES);
        OP(mask_storeu)(to + begin, lanes, v[i]);
    }
}

static TARGET void
NAME(sort_short)(const ITEM *from, ITEM *to, size_t length)
{
    if (length <= LANES * 2) {
        NAME(sort_vectors)(from, to, length, 2);
    } else if (length <= LANES * 4) {
        NAME(sort_vectors)(from, to, length, 4);
    } else if (length <= LANES * 8) {
        NAME(sort_vectors)(from, to, length, 8);
    } else {
        NAME(sort_vectors)(from, to, length, VECTORS);
    }
}

/* ---- in cache -------------------------------------------------------------------- */

/* The median of some items. */
INLINE ITEM
NAME(choose_pivot)(const ITEM *items, size_t length)
{
    ITEM some[LANES];
    for (size_t i = 0; i < LANES; i++) {
        some[i] = items[(length - 1) / LANES * i + length / (2 * LANES)];
    }
    _mm512_storeu_si512(some, NAME(sort_lanes)(_mm512_loadu_si512(some)));
    return some[LANES / 2];
}

/* Find the middle between the least and the greatest, rounded up. False, if all are the
 * same. */
static TARGET bool
NAME(find_middle)(const ITEM *items, size_t length, ITEM *middle)
{
    ITEM low = items[0], high = items[0];
    for (size_t i = 1; i < length; i++) {
        low = items[i] < low ? items[i] : low;
        high = items[i] > high ? items[i] : high;
    }
    const NATURAL span = (NATURAL)high - (NATURAL)low;
    *middle = (ITEM)((NATURAL)low + span / 2 + span % 2);
    return span > 0;
}

/* Leave the items below the pivot, or the others, where they are, from the beginning
 * on, and write those that do not stay to the other place; return how many there are of
 * these. What lies behind either is overwritten, up to `length`. */
INLINE size_t
NAME(divide)(ITEM *items, ITEM *other, size_t length, ITEM pivot, bool below_stays)
{
    const __m512i pivots = OP(set1)(pivot);
    ITEM *kept = items, *moved = other;
    size_t i = 0;
    for (; i + BATCH * LANES <= length; i += BATCH * LANES) {
        __m512i v[BATCH];
        MASK moves[BATCH], stays[BATCH];
#pragma GCC unroll 16
        for (unsigned j = 0; j < BATCH; j++) {
            v[j] = _mm512_loadu_si512(items + i + j * LANES);
            const MASK below = OP2(cmplt)(v[j], pivots);
            const MASK above = OP2(cmpge)(v[j], pivots);
            moves[j] = below_stays ? above : below;
            stays[j] = below_stays ? below : above;
        }
#pragma GCC unroll 16
        for (unsigned j = 0; j < BATCH; j++) {
            _mm512_storeu_si512(moved, OP(maskz_compress)(moves[j], v[j]));
            moved += __builtin_popcount(moves[j]);
        }
#pragma GCC unroll 16
        for (unsigned j = 0; j < BATCH; j++) {
            _mm512_storeu_si512(kept, OP(maskz_compress)(stays[j], v[j]));
            kept += LANES - __builtin_popcount(moves[j]);
        }
    }
    for (; i < length; i += LANES) {
        const size_t rest = length - i;
        const MASK valid = NAME(first_lanes)(rest < LANES ? rest : LANES);
        const __m512i v = OP(maskz_loadu)(valid, items + i);
        const MASK below = OP2(mask_cmplt)(valid, v, pivots);
        const MASK above = OP2(mask_cmpge)(valid, v, pivots);
        const MASK moves = below_stays ? above : below;
        const MASK stays = below_stays ? below : above;
        const unsigned moves_count = (unsigned)__builtin_popcount(moves);
        const unsigned stays_count = (unsigned)__builtin_popcount(stays);
        OP(mask_storeu)(moved, NAME(first_lanes)(moves_count),
                        OP(maskz_compress)(moves, v));
        OP(mask_storeu)(kept, NAME(first_lanes)(stays_count),
                        OP(maskz_compress)(stays, v));
        moved += moves_count;
        kept += stays_count;
    }
    return (size_t)(moved - other);
}

/* Sort a part, which ends where it is, or if not `stay` in the spare.
 *
 *     stay       items  below above -> below ....    not stay   below above -> above
 * .... spare  ...........    above ....               ...........    below ....
 *
 * Those that come to lie in the place where they should end stay there, the others go
 * back and forth. Up to `depth` levels, pivots are medians of some items; then half of
 * what there is between the least and the greatest, so that there are not more levels
 * than bits. */
static TARGET void
NAME(sort_part)(ITEM *items, ITEM *spare, size_t length, bool stay, unsigned depth)
{
    bool has_least = false; /* was the pivot, which was the least, of no use? */
    while (length > VECTORS * LANES) {
        ITEM pivot;
        if (depth > 0 && !has_least) {
            depth--;
            pivot = NAME(choose_pivot)(items, length);
        } else if (!NAME(find_middle)(items, length, &pivot)) {
            break;
        }
        size_t above, below;
        if (stay) {
            above = NAME(divide)(items, spare, length, pivot, true);
            below = length - above;
            NAME(sort_part)(items, spare + above, below, true, depth);
            ITEM *const place = items + below;
            items = spare;
            spare = place;
            stay = false;
        } else {
            below = NAME(divide)(items, spare, length, pivot, false);
            above = length - below;
            NAME(sort_part)(spare, items + above, below, true, depth);
            spare += below;
        }
        length = above;
        has_least = below == 0;
    }
    ITEM *const out = stay ? items : spare;
    if (length <= VECTORS * LANES) {
        NAME(sort_short)(items, out, length);
    } else if (!stay) { /* all are the same */
        memcpy(spare, items, length * sizeof(ITEM));
    }
}

/* ---- items as integers ----------------------------------------------------------- */

INLINE __m512i
NAME(invert_negative)(__m512i v)
{
    return _mm512_xor_si512(v, OP(srli)(OP(srai)(v, BITS - 1), 1));
}

/* Make integers of floats or others, or the other way round. */
static TARGET void
NAME(sign)(ITEM *items, size_t length, trt_signing signing, bool back)
{
    const __m512i before = OP(set1)((ITEM)(back ? signing.flip : 0));
    const __m512i after = OP(set1)((ITEM)(back ? 0 : signing.flip));
    const __m512i is_float = OP(set1)((ITEM)(signing.is_float ? -1 : 0));
    for (size_t i = 0; i < length; i += LANES) {
        const size_t rest = length - i;
        const MASK valid = NAME(first_lanes)(rest < LANES ? rest : LANES);
        const __m512i v = _mm512_xor_si512(OP(maskz_loadu)(valid, items + i), before);
        const __m512i negative =
            _mm512_and_si512(OP(srli)(OP(srai)(v, BITS - 1), 1), is_float);
        OP(mask_storeu)(items + i, valid,
                        _mm512_xor_si512(_mm512_xor_si512(v, negative), after));
    }
}

/* Look for zeros among floats, and for negative ones. */
static TARGET void
NAME(look)(const ITEM *items, size_t length, bool *has_zeros, bool *has_negative)
{
    const __m512i magnitude = OP(set1)((ITEM)(((NATURAL)1 << (BITS - 1)) - 1));
    __m512i all = _mm512_setzero_si512();
    MASK zeros = 0;
    size_t i = 0;
    for (; i + LANES <= length; i += LANES) {
        const __m512i v = _mm512_loadu_si512(items + i);
        zeros |= OP2(testn)(v, magnitude);
        all = _mm512_or_si512(all, v);
    }
    *has_negative = OP2(cmplt)(all, _mm512_setzero_si512()) != 0;
    for (; i < length; i++) {
        zeros |= (items[i] & (ITEM)(((NATURAL)1 << (BITS - 1)) - 1)) == 0;
        *has_negative |= items[i] < 0;
    }
    *has_zeros = zeros != 0;
}

static TARGET bool
NAME(sort)(ITEM *items, ITEM *spare, size_t length, bool stay, trt_signing signing)
{
    bool has_zeros = false, has_negative = false;
    if (signing.is_float) {
        NAME(look)(items, length, &has_zeros, &has_negative);
    }
    if (has_zeros) {
        return false;
    }
    const bool is_same = signing.flip == 0 && !has_negative;
    if (!is_same) {
        NAME(sign)(items, length, signing, false);
    }
    unsigned depth = 4;
    for (size_t rest = length; rest > 0; rest /= 2) {
        depth += 2;
    }
    NAME(sort_part)(items, spare, length, stay, depth);
    if (!is_same) {
        NAME(sign)(stay ? items : spare, length, signing, true);
    }
    return true;
}

#undef ITEM
#undef NATURAL
#undef LANES
#undef MASK
#undef NUMBERS
#undef OP
#undef OP2
#undef NAME
#undef BITS
