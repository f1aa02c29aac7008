/* The loops of sorting, for one type of items. For sort_ranks.c, which defines
 *
 *   ITEM         the type of items
 *   RANK         the type of ranks
 *   RANK_OF(x)   the rank of an item, by `order`
 *   MOST         the highest rank of a number
 *   HAS_NANS     whether items can have higher ones
 *   NAME(n)      `n` with a name of the type behind it
 *
 * A leaf, some thousand items in cache, is sorted by as many of its leading bits as
 * tell most items apart: two passes over one digit each, the lower one first (LSD radix
 * sort). Then few items have the same bits as their neighbours and are out of order;
 * such a group is a leaf of its own. */

/* The rank as it is of numbers; NaNs have the same. */
static inline RANK
NAME(clip)(RANK rank)
{
#if HAS_NANS
    return rank > MOST ? MOST + 1 : rank;
#else
    return rank;
#endif
}

static void
NAME(look)(const void *items, size_t begin, size_t end, const trt_order *order,
           trt_seen *seen)
{
    const ITEM *const from = items;
    /* Two of each, so that none waits for the one before. */
    RANK low = (RANK)-1, other_low = (RANK)-1, high = 0, other_high = 0;
    RANK last = begin > 0 ? RANK_OF(from[begin - 1]) : 0;
    size_t descents = 0, i = begin;
    for (; i + 1 < end; i += 2) {
        const RANK rank = RANK_OF(from[i]), next = RANK_OF(from[i + 1]);
        low = rank < low ? rank : low;
        high = rank > high ? rank : high;
        other_low = next < other_low ? next : other_low;
        other_high = next > other_high ? next : other_high;
        descents += (size_t)(rank < last) + (size_t)(next < rank);
        last = next;
    }
    if (i < end) {
        const RANK rank = RANK_OF(from[i]);
        low = rank < low ? rank : low;
        high = rank > high ? rank : high;
        descents += rank < last;
    }
    low = NAME(clip)(low < other_low ? low : other_low);
    high = NAME(clip)(high > other_high ? high : other_high);
    seen->low = low < seen->low ? low : seen->low;
    seen->high = high > seen->high ? high : seen->high;
    seen->descents += descents;
}

static size_t
NAME(look_for_numbers)(const void *items, size_t length, const trt_order *order,
                       uint64_t *high)
{
    const ITEM *const from = items;
    size_t numbers = 0;
    RANK highest = 0;
    for (size_t i = 0; i < length; i++) {
        const RANK rank = RANK_OF(from[i]);
        const bool is_number = rank <= MOST;
        highest = is_number && rank > highest ? rank : highest;
        numbers += is_number;
    }
    *high = highest;
    return numbers;
}

static inline size_t
NAME(cell)(ITEM x, const trt_order *order, const trt_cells *cells)
{
    const RANK above = (RANK)(RANK_OF(x) - (RANK)cells->low);
    const size_t cell = (size_t)(above >> cells->shift);
    return HAS_NANS && above > cells->span ? cells->nans : cell;
}

static void
NAME(count)(const void *items, size_t length, const trt_order *order,
            const trt_cells *cells, uint32_t *counts)
{
    const ITEM *const from = items;
    const trt_order by = *order;
    const trt_cells into = *cells;
    for (size_t i = 0; i < length; i++) {
        counts[NAME(cell)(from[i], &by, &into)]++;
    }
}

static void
NAME(scatter)(const void *items, size_t length, const trt_order *order,
              const trt_cells *cells, const uint16_t *buckets, size_t *places,
              void *out)
{
    const ITEM *const from = items;
    ITEM *const to = out;
    const trt_order by = *order; /* copies, which `to` cannot overwrite */
    const trt_cells into = *cells;
    for (size_t i = 0; i < length; i++) {
        const ITEM x = from[i];
        to[places[buckets[NAME(cell)(x, &by, &into)]]++] = x;
    }
}

static void
NAME(reverse)(void *items, size_t length, size_t begin, size_t end)
{
    ITEM *const all = items;
    for (size_t i = begin; i < end; i++) {
        const ITEM x = all[i];
        all[i] = all[length - 1 - i];
        all[length - 1 - i] = x;
    }
}

static void
NAME(insert)(ITEM *items, size_t length, const trt_order *order)
{
    for (size_t i = 1; i < length; i++) {
        const ITEM x = items[i];
        const RANK rank = NAME(clip)(RANK_OF(x));
        size_t place = i;
        for (; place > 0 && NAME(clip)(RANK_OF(items[place - 1])) > rank; place--) {
            items[place] = items[place - 1];
        }
        items[place] = x;
    }
}

/* Where items of a leaf go. */
struct NAME(leaf) {
    ITEM *items, *spare;
    size_t length;
    bool stay;
    RANK low;
    unsigned shift; /* the bits that are left */
    const trt_order *order;
};

/* Sort by the leading bits, of which there are `bits`. */
static NO_INLINE void
NAME(distribute)(const struct NAME(leaf) * leaf, unsigned bits)
{
    uint32_t lower[1 << DIGIT_MAX], upper[1 << DIGIT_MAX];
    ITEM *const items = leaf->items, *const spare = leaf->spare;
    const trt_order by = *leaf->order, *const order = &by;
    const size_t length = leaf->length;
    const RANK low = leaf->low;
    const unsigned shift = leaf->shift, lower_bits = bits / 2;
    const RANK mask = ((RANK)1 << lower_bits) - 1;
    memset(lower, 0, sizeof lower[0] << lower_bits);
    memset(upper, 0, sizeof upper[0] << (bits - lower_bits));
    for (size_t i = 0; i < length; i++) {
        const RANK digits = (RANK)(RANK_OF(items[i]) - low) >> shift;
        lower[digits & mask]++;
        upper[digits >> lower_bits]++;
    }
    to_places(lower, (size_t)1 << lower_bits);
    to_places(upper, (size_t)1 << (bits - lower_bits));
    for (size_t i = 0; i < length; i++) {
        const ITEM x = items[i];
        spare[lower[(RANK)(RANK_OF(x) - low) >> shift & mask]++] = x;
    }
    for (size_t i = 0; i < length; i++) {
        const ITEM x = spare[i];
        items[upper[(RANK)(RANK_OF(x) - low) >> shift >> lower_bits]++] = x;
    }
}

static void NAME(sort)(void *items, void *spare, size_t length, bool stay,
                       const trt_order *order);

/* Sort the group of equal leading bits that item `i` belongs to; those before it have
 * been moved. Return its last. */
static NO_INLINE size_t
NAME(sort_group)(const struct NAME(leaf) * leaf, size_t i)
{
    const trt_order *const order = leaf->order;
    const ITEM *const items = leaf->items;
    const RANK low = leaf->low;
    const unsigned shift = leaf->shift;
    const RANK group = (RANK)(RANK_OF(items[i]) - low) >> shift;
    size_t begin = i, end = i + 1;
    while (begin > 0 && (RANK)(RANK_OF(items[begin - 1]) - low) >> shift == group) {
        begin--;
    }
    while (end < leaf->length && (RANK)(RANK_OF(items[end]) - low) >> shift == group) {
        end++;
    }
    NAME(sort)(leaf->items + begin, leaf->spare + begin, end - begin, leaf->stay,
               order);
    return end - 1;
}

/* Move the items to where they end, and put right what the leading bits have not. */
static void
NAME(finish)(const struct NAME(leaf) * leaf)
{
    const trt_order by = *leaf->order, *const order = &by;
    const ITEM *const items = leaf->items;
    ITEM *const out = leaf->stay ? leaf->items : leaf->spare;
    const size_t length = leaf->length;
    RANK last = 0;
    for (size_t i = 0; i < length; i++) {
        const ITEM x = items[i];
        const RANK rank = RANK_OF(x);
        out[i] = x;
        if (UNLIKELY(rank < last)) {
            i = NAME(sort_group)(leaf, i);
            last = RANK_OF(out[i]);
        } else {
            last = rank;
        }
    }
}

static void
NAME(sort)(void *items, void *spare, size_t length, bool stay, const trt_order *order)
{
    ITEM *const from = items;
    struct NAME(leaf) leaf = {
        .items = items, .spare = spare, .length = length, .stay = stay, .order = order};
    trt_seen seen = trt_seen_nothing;
    if (length > TRT_SORT_SHORT) {
        NAME(look)(from, 0, length, order, &seen);
        if (seen.descents > 0) {
            const unsigned width = trt_rank_width(seen.high - seen.low);
            const unsigned wanted = trt_rank_width(length) + EXTRA_BITS;
            const unsigned bits = wanted < width ? wanted : width;
            leaf.low = (RANK)seen.low;
            leaf.shift = width - bits;
            NAME(distribute)(&leaf, bits);
        }
    }
    if (leaf.shift > 0) {
        NAME(finish)(&leaf);
        return;
    }
    if (!stay && length > 0) {
        memcpy(spare, items, length * sizeof(ITEM));
    }
    if (length <= TRT_SORT_SHORT) {
        NAME(insert)(stay ? items : spare, length, order);
    }
}

#if HAS_PACKING

static inline uint64_t
NAME(packed)(const trt_packing *p, const trt_order *order, size_t index)
{
    const uint64_t rank = NAME(clip)(RANK_OF(((const ITEM *)p->items)[index]));
    return (rank - p->low) >> p->drop << p->index | index;
}

static void
NAME(pack)(const trt_packing *p, size_t begin, size_t end)
{
    const trt_packing by = *p; /* copies, which words cannot overwrite */
    const trt_order order = *p->order;
    for (size_t i = begin; i < end; i++) {
        by.words[i] = NAME(packed)(&by, &order, i);
    }
}

static void
NAME(pack_again)(const trt_packing *p, size_t begin, size_t end)
{
    const trt_order order = *p->order;
    const uint64_t indices = ((uint64_t)1 << p->index) - 1;
    for (size_t i = begin; i < end; i++) {
        p->words[i] = NAME(packed)(p, &order, (size_t)(p->words[i] & indices));
    }
}

static void
NAME(look_again)(const trt_packing *p, size_t begin, size_t end, trt_seen *seen)
{
    const ITEM *const items = p->items;
    const trt_order *const order = p->order;
    const uint64_t indices = ((uint64_t)1 << p->index) - 1;
    uint64_t last = 0;
    if (begin > 0) {
        last = NAME(clip)(RANK_OF(items[p->words[begin - 1] & indices]));
    }
    for (size_t i = begin; i < end; i++) {
        const uint64_t rank = NAME(clip)(RANK_OF(items[p->words[i] & indices]));
        seen->low = rank < seen->low ? rank : seen->low;
        seen->high = rank > seen->high ? rank : seen->high;
        seen->descents += rank < last;
        last = rank;
    }
}

#endif

/* clang-format off */
static const trt_rank_kernel NAME(kernel) = {
    .size = sizeof(ITEM),
    .most = MOST,
    .is_float = HAS_NANS,
    .look = NAME(look),
    .look_for_numbers = NAME(look_for_numbers),
    .count = NAME(count),
    .scatter = NAME(scatter),
    .sort = NAME(sort),
    .reverse = NAME(reverse),
#if HAS_PACKING
    .pack = NAME(pack),
    .pack_again = NAME(pack_again),
    .look_again = NAME(look_again),
#endif
};
/* clang-format on */

#undef ITEM
#undef RANK
#undef RANK_OF
#undef MOST
#undef HAS_NANS
#undef HAS_PACKING
#undef NAME
