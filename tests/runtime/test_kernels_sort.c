/* Sorting against a reference that compares: every type, the lengths around every
 * threshold, on one thread and on several. */
#include "company.h"

#include "kernels/scratch.h"
#include "kernels/sort.h"
#include "kernels/sort_ranks.h"
#include "kernels/sort_vector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum {
    LONG = 300007 / CHECK_SLOWNESS,
    /* A part of it is longer than a leaf, and is divided again. */
    LONGEST = 1300000 / CHECK_SLOWNESS,
};

static uint64_t random_state;

static uint64_t
next_random(void)
{
    const uint64_t high = check_random(&random_state, UINT64_MAX);
    return high << 32 ^ check_random(&random_state, UINT64_MAX);
}

static void *
allocate(size_t size)
{
    void *memory = malloc(size + 1);
    CHECK(memory != NULL);
    return memory;
}

/* ---- the reference --------------------------------------------------------------- */

#define IS_LESS(constant, type, name)                                                  \
    static bool is_less_##name(const void *a, const void *b)                           \
    {                                                                                  \
        const type x = *(const type *)a, y = *(const type *)b;                         \
        return x < y || (!isnan((double)x) && isnan((double)y));                       \
    }
TRT_EACH_DTYPE(IS_LESS)
#undef IS_LESS

static bool (*const is_less[TRT_DTYPES])(const void *, const void *) = {
#define ROW(constant, type, name) [constant] = is_less_##name,
    TRT_EACH_DTYPE(ROW)
#undef ROW
};

/* What is sorted, and how: for `compare`, which qsort calls. */
static const char *compared;
static trt_dtype compared_dtype;
static bool is_reversed;

static bool
is_nan_at(const char *item)
{
    return (compared_dtype == TRT_FLOAT64 && isnan(*(const double *)(void *)item)) ||
           (compared_dtype == TRT_FLOAT32 && isnan(*(const float *)(void *)item));
}

static int
compare(const void *a, const void *b)
{
    const int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    const size_t size = trt_dtype_size(compared_dtype);
    const char *x = compared + (size_t)i * size, *y = compared + (size_t)j * size;
    if (is_nan_at(x) == is_nan_at(y)) {
        const bool less = is_less[compared_dtype](x, y);
        const bool more = is_less[compared_dtype](y, x);
        const int order = is_reversed ? less - more : more - less;
        return order ? order : (i > j) - (i < j);
    }
    return is_nan_at(x) ? 1 : -1;
}

/* The indices in order. */
static int64_t *
find_order(trt_dtype dtype, const char *items, size_t length, bool reverse)
{
    int64_t *order = allocate(length * sizeof *order);
    for (size_t i = 0; i < length; i++) {
        order[i] = (int64_t)i;
    }
    compared = items;
    compared_dtype = dtype;
    is_reversed = reverse;
    qsort(order, length, sizeof *order, compare);
    return order;
}

/* ---- what is sorted -------------------------------------------------------------- */

enum pattern {
    BITS,
    UNIFORM,
    FEW,
    SPECIAL,
    EQUAL,
    SORTED,
    REVERSED,
    ORGAN_PIPE,
    OUTLIER,
    CLUSTERS,
    NEARLY_SORTED,
    PATTERNS,
};

/* One of some numbers that are not like others, or a NaN with bits of its own. */
static void
put_special(trt_dtype dtype, char *item)
{
    static const double few[] = {0.0, -0.0, INFINITY, -INFINITY, 1.0, -1.0, 5e-324};
    const uint64_t x = next_random();
    if (dtype == TRT_FLOAT64) {
        const uint64_t nan = UINT64_C(0x7ff) << 52 | x << 63 | (x >> 1 & 0xff) | 1;
        memcpy(item, x % 4 == 0 ? (const void *)&nan : &few[x / 4 % 7], 8);
    } else if (dtype == TRT_FLOAT32) {
        const uint32_t nan = 0x7f800001U | (uint32_t)(x << 31) | (x >> 1 & 0xff);
        const uint32_t tiny = (uint32_t)(x >> 60);
        const float number = (float)few[x / 4 % 6];
        memcpy(item, x % 8 == 1 ? &tiny : &nan, 4);
        if (x % 8 > 2) {
            memcpy(item, &number, 4);
        }
    } else {
        /* The least and the greatest, and what is beside them. */
        const uint64_t edges[] = {0, 1, UINT64_MAX, UINT64_MAX >> 1};
        memcpy(item, &edges[x % 4], trt_dtype_size(dtype));
    }
}

static void
put_number(trt_dtype dtype, char *item, double x)
{
    switch (dtype) {
#define CASE(constant, type, name)                                                     \
    case constant:                                                                     \
        *(type *)(void *)item = (type)x;                                               \
        break;
        TRT_EACH_DTYPE(CASE)
#undef CASE
    default:
        CHECK(false);
    }
}

static double
random_number(enum pattern pattern, size_t i, size_t length)
{
    const double unit = (double)(next_random() >> 11) / 9007199254740992.0;
    const double part = (double)i / (double)length;
    switch (pattern) {
    case UNIFORM:
        return unit * 127;
    case FEW:
        return (double)(int)(unit * 5);
    case SORTED:
        return part * 127;
    case REVERSED:
        return 127 - part * 127;
    case ORGAN_PIPE:
        return 127 * (part < 0.5 ? part : 1 - part);
    case OUTLIER:
        return i == length / 2 ? 127 : unit;
    case CLUSTERS: /* groups of items that have their leading bits in common */
        return (double)(int)(unit * 7) + unit * 1e-9;
    case NEARLY_SORTED:
        return next_random() % 50 == 0 ? unit * 127 : part * 127;
    default:
        return 42;
    }
}

static char *
new_items(trt_dtype dtype, enum pattern pattern, size_t length)
{
    const size_t size = trt_dtype_size(dtype);
    char *items = allocate(length * size);
    for (size_t i = 0; i < length; i++) {
        char *const item = items + i * size;
        if (pattern == BITS) {
            const uint64_t bits = next_random();
            memcpy(item, &bits, size);
        } else if (pattern == SPECIAL) {
            put_special(dtype, item);
        } else {
            put_number(dtype, item, random_number(pattern, i, length));
        }
    }
    if (pattern == OUTLIER && size == 8 && length > 0) {
        memset(items + length / 2 * size, 0x7e, size); /* a large one, of any type */
    }
    return items;
}

/* ---- checks ---------------------------------------------------------------------- */

static void
check_in_order(const char *sorted, const char *items, const int64_t *order,
               size_t length, size_t size)
{
    for (size_t i = 0; i < length; i++) {
        CHECK(memcmp(sorted + i * size, items + (size_t)order[i] * size, size) == 0);
    }
}

static char *
copy_of(const char *items, size_t bytes)
{
    char *copy = allocate(bytes);
    memcpy(copy, items, bytes);
    return copy;
}

/* `on_all` runs on all threads of the company, otherwise it is this one. */
static void
check_sort(trt_dtype dtype, enum pattern pattern, size_t length, bool reverse,
           bool on_all)
{
    const size_t size = trt_dtype_size(dtype);
    char *items = new_items(dtype, pattern, length);
    char *sorted = copy_of(items, length * size);
    int64_t *order = find_order(dtype, items, length, reverse);
    int64_t *found = allocate(length * sizeof *found);
    trt_sort s = {dtype, sorted, length, 1, reverse};
    trt_argsort a = {dtype, items, found, length, 1, reverse};
    CHECK_EQ(on_all ? company_run(0, trt_sort_run, &s) : trt_sort_here(&s), TRT_OK);
    check_in_order(sorted, items, order, length, size);
    CHECK_EQ(on_all ? company_run(0, trt_argsort_run, &a) : trt_argsort_here(&a),
             TRT_OK);
    CHECK(memcmp(found, order, length * sizeof *order) == 0);
    free(items);
    free(sorted);
    free(order);
    free(found);
}

static void
check_patterns(size_t length, bool on_all)
{
    for (int dtype = 0; dtype < TRT_DTYPES; dtype++) {
        for (int pattern = 0; pattern < PATTERNS; pattern++) {
            const bool reverse = next_random() % 2 == 0;
            check_sort((trt_dtype)dtype, (enum pattern)pattern, length, reverse,
                       on_all);
        }
    }
}

static void
test_rows_of_every_length_are_sorted_here(void)
{
    for (size_t length = 0; length <= 300; length += CHECK_SLOWNESS > 1 ? 7 : 1) {
        check_patterns(length, false);
    }
    check_patterns(1000, false);
    check_patterns(4096 + 3, false);
}

/* Leaves, which longer rows consist of, by themselves: in either place, with vectors
 * and without. */
static void
check_leaf(trt_dtype dtype, enum pattern pattern, size_t length, bool stay,
           bool with_vectors)
{
    const size_t size = trt_dtype_size(dtype);
    trt_order by;
    const bool reverse = next_random() % 2 == 0;
    const trt_rank_kernel *kernel = trt_rank_find(dtype, reverse, &by);
    char *items = new_items(dtype, pattern, length);
    char *place = copy_of(items, length * size), *spare = allocate(length * size);
    int64_t *order = find_order(dtype, items, length, reverse);
    bool is_done = true;
    if (with_vectors) {
        const trt_signing signing = {trt_rank_sign(kernel) ^ by.flip, kernel->is_float};
        is_done = trt_sort_vectors(place, spare, length, size, stay, signing);
    } else {
        kernel->sort(place, spare, length, stay, &by);
    }
    if (is_done) {
        check_in_order(stay ? place : spare, items, order, length, size);
    } else {
        CHECK(memcmp(place, items, length * size) == 0);
    }
    free(items);
    free(place);
    free(spare);
    free(order);
}

static void
check_leaves(trt_dtype dtype, size_t length)
{
    const bool is_float = dtype >= TRT_FLOAT32;
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        const bool has_nans = is_float && (pattern == BITS || pattern == SPECIAL);
        for (int how = 0; how < 4 && !has_nans; how++) {
            check_leaf(dtype, (enum pattern)pattern, length, how & 1, how & 2);
        }
    }
}

static void
test_leaves_are_sorted_in_either_place(void)
{
    for (int dtype = 0; dtype < TRT_DTYPES; dtype++) {
        for (size_t length = 0; length <= 300; length += CHECK_SLOWNESS > 1 ? 11 : 1) {
            check_leaves((trt_dtype)dtype, length);
        }
        check_leaves((trt_dtype)dtype, 10000 / CHECK_SLOWNESS);
    }
    check_leaf(TRT_FLOAT64, UNIFORM, TRT_SORT_LEAF_MAX, true, true);
    check_leaf(TRT_FLOAT64, CLUSTERS, TRT_SORT_LEAF_MAX, false, false);
}

static void
check_long_rows(void)
{
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
        for (int round = 0; round < 2; round++) {
            const trt_dtype dtype = (trt_dtype)(next_random() % TRT_DTYPES);
            const size_t length = (1 << 16) + (size_t)(next_random() % 3) - 1;
            check_sort(dtype, (enum pattern)pattern, length, round, true);
        }
        const trt_dtype dtype = (trt_dtype)(next_random() % TRT_DTYPES);
        check_sort(dtype, (enum pattern)pattern, LONG, pattern % 2, true);
    }
    check_sort(TRT_FLOAT64, OUTLIER, LONGEST, false, true);
    check_sort(TRT_UINT64, OUTLIER, LONGEST, true, true);
    check_sort(TRT_FLOAT32, CLUSTERS, LONGEST, false, true);
    check_sort(TRT_FLOAT64, SPECIAL, LONGEST, false, true);
}

static void
check_many_rows(void)
{
    static const struct {
        size_t rows, length;
    } shapes[] = {{0, 5},     {5, 0},     {7, 1},    {30000, 2},
                  {5000, 30}, {90, 1500}, {3, 70000}};
    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        const size_t length = shapes[shape].length;
        const size_t rows = shapes[shape].rows / (CHECK_SLOWNESS > 1 ? 3 : 1);
        const trt_dtype dtype = next_random() % 2 ? TRT_FLOAT64 : TRT_INT16;
        const size_t size = trt_dtype_size(dtype);
        char *items = new_items(dtype, BITS, rows * length);
        char *sorted = copy_of(items, rows * length * size);
        int64_t *found = allocate(rows * length * sizeof *found);
        trt_sort s = {dtype, sorted, length, rows, false};
        trt_argsort a = {dtype, items, found, length, rows, false};
        CHECK_EQ(company_run(0, trt_sort_run, &s), TRT_OK);
        CHECK_EQ(company_run(0, trt_argsort_run, &a), TRT_OK);
        for (size_t row = 0; row < rows; row++) {
            const char *const its = items + row * length * size;
            int64_t *order = find_order(dtype, its, length, false);
            check_in_order(sorted + row * length * size, its, order, length, size);
            CHECK(memcmp(found + row * length, order, length * sizeof *order) == 0);
            free(order);
        }
        free(items);
        free(sorted);
        free(found);
    }
}

/* ---- work that does not come to its end ------------------------------------------ */

/* The same for the same items in any order. */
static uint64_t
fingerprint(const char *items, size_t length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        uint64_t bits;
        memcpy(&bits, items + i * sizeof bits, sizeof bits);
        bits = (bits ^ bits >> 31) * UINT64_C(0x9e3779b97f4a7c15);
        sum += bits ^ bits >> 29;
    }
    return sum;
}

static void
check_outcome(int status, const char *items, const char *before, size_t length)
{
    CHECK(fingerprint(items, length) == fingerprint(before, length));
    const double *const numbers = (const double *)(const void *)items;
    for (size_t i = 1; i < length && status == TRT_OK; i++) {
        CHECK(numbers[i - 1] <= numbers[i]);
    }
}

/* Ends the work after some turns of a loop. */
struct canceller {
    trt_work *work;
    uint64_t turns;
};

static void
cancel_later(void *arg)
{
    const struct canceller *const c = arg;
    for (_Atomic(uint64_t) turn = 0; turn < c->turns;) {
        trt_fetch_add_relaxed(&turn, 1);
    }
    trt_store_relaxed(&c->work->cancel, 1);
}

static void
check_cancelled_sort(void)
{
    for (int round = 0; round < 20; round++) {
        char *items = new_items(TRT_FLOAT64, round % 2 ? UNIFORM : OUTLIER, LONGEST);
        char *before = copy_of(items, LONGEST * sizeof(double));
        trt_sort s = {TRT_FLOAT64, items, LONGEST, 1, false};
        trt_work work;
        trt_work_init(&work);
        struct canceller c = {&work, round ? next_random() % 2000000 : 0};
        trt_thread thread;
        CHECK_EQ(trt_thread_start(&thread, "canceller", 0, cancel_later, &c), 0);
        if (round == 0) {
            trt_thread_join(&thread);
        }
        const int status = company_run_root(0, &work, trt_sort_run, &s);
        CHECK(status == TRT_CANCELLED || (status == TRT_OK && round > 0));
        if (round > 0) {
            trt_thread_join(&thread);
        }
        trt_work_destroy(&work);
        check_outcome(status, items, before, LONGEST);
        free(items);
        free(before);
    }
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !TRT_THREAD_SANITIZER

static rlim_t
bytes_in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    unsigned long pages = 0;
    CHECK_EQ(fscanf(file, "%lu", &pages), 1);
    (void)fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void
test_sort_without_memory_keeps_all_items(void)
{
    char *before = new_items(TRT_FLOAT64, UNIFORM, LONG);
    char *items = copy_of(before, LONG * sizeof(double));
    struct rlimit usual;
    CHECK_EQ(getrlimit(RLIMIT_AS, &usual), 0);
    int failures = 0;
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 14); /* the limit is about that */
    for (rlim_t more = 0; more < 4 << 20; more += 1 << 15) {
        memcpy(items, before, LONG * sizeof(double));
        trt_sort s = {TRT_FLOAT64, items, LONG, 1, false};
        const struct rlimit tight = {bytes_in_use() + more, usual.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_AS, &tight), 0);
        const int status = trt_sort_here(&s);
        CHECK_EQ(setrlimit(RLIMIT_AS, &usual), 0);
        CHECK(status == TRT_OK || status == TRT_NO_MEMORY);
        failures += status == TRT_NO_MEMORY;
        check_outcome(status, items, before, LONG);
    }
    CHECK(failures > 0);
    free(items);
    free(before);
}

#endif

static void
test_scratch_that_nobody_has_is_refused(void)
{
    CHECK(trt_scratch_new(SIZE_MAX, 2) == NULL);
    free(trt_scratch_new(0, 8));
}

static void
test_long_rows_are_sorted_on_all_threads(void)
{
    company_try_sizes(check_long_rows);
}

static void
test_many_rows_are_sorted_on_all_threads(void)
{
    company_try_sizes(check_many_rows);
}

static void
test_cancelled_sort_keeps_all_items(void)
{
    company_try_sizes(check_cancelled_sort);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    random_state = check_random_start(0);
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !TRT_THREAD_SANITIZER
    /* First: later, malloc has memory left over. */
    RUN(test_sort_without_memory_keeps_all_items);
#endif
    RUN(test_rows_of_every_length_are_sorted_here);
    RUN(test_leaves_are_sorted_in_either_place);
    RUN(test_long_rows_are_sorted_on_all_threads);
    RUN(test_many_rows_are_sorted_on_all_threads);
    RUN(test_cancelled_sort_keeps_all_items);
    RUN(test_scratch_that_nobody_has_is_refused);
    return check_end();
}
