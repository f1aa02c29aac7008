/* Kernels on several threads: what they find on one, wherever a merge is cut. */
#include "company.h"

#include "kernels/copy.h"
#include "kernels/fill.h"
#include "kernels/merge.h"
#include "kernels/sum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 300007 / CHECK_SLOWNESS };

static uint64_t random_state;

static uint64_t
next_random(void)
{
    const uint64_t high = check_random(&random_state, UINT64_MAX);
    return high << 32 | check_random(&random_state, UINT64_MAX);
}

static void *
allocate(size_t size)
{
    void *memory = malloc(size);
    CHECK(memory != NULL);
    return memory;
}

static int
compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y)) {
        return (isnan(x) != 0) - (isnan(y) != 0);
    }
    return (x > y) - (x < y);
}

/* A sorted run of few and many different numbers, whose zeros and NaNs have a sign. */
static double *
new_run(size_t length, double sign)
{
    double *run = allocate((length + 1) * sizeof *run);
    for (size_t i = 0; i < length; i++) {
        const uint64_t x = next_random();
        const double few[] = {copysign(0.0, sign), copysign(NAN, sign), 1.0, -1.0};
        run[i] = x % 4 == 0 ? few[x / 4 % 4] : (double)(x % 100000) - 50000.5;
    }
    qsort(run, length, sizeof *run, compare);
    return run;
}

static void
check_merge(size_t left_length, size_t right_length)
{
    const size_t length = left_length + right_length;
    double *left = new_run(left_length, 1.0), *right = new_run(right_length, -1.0);
    double *expected = allocate((length + 1) * sizeof *expected);
    double *out = allocate((length + 1) * sizeof *out);
    for (size_t i = 0, j = 0; i + j < length;) {
        const bool from_right =
            i == left_length || (j < right_length && compare(&right[j], &left[i]) < 0);
        expected[i + j] = from_right ? right[j] : left[i];
        j += from_right;
        i += !from_right;
    }
    trt_merge m = {TRT_FLOAT64, left, left_length, right, right_length, out};
    trt_merge_kernels[TRT_FLOAT64].merge(&m);
    CHECK(memcmp(out, expected, length * sizeof *out) == 0);
    memset(out, 1, length * sizeof *out);
    CHECK_EQ(company_run(0, trt_merge_run, &m), TRT_OK);
    CHECK(memcmp(out, expected, length * sizeof *out) == 0);
    free(left);
    free(right);
    free(expected);
    free(out);
}

static void
check_merges(void)
{
    static const size_t lengths[] = {0, 1, 33, 500, 40000, LENGTH};
    const size_t count = sizeof lengths / sizeof lengths[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            check_merge(lengths[i], lengths[j]);
        }
    }
}

/* Runs that are not sorted, of every type and at every place of the heap:
 * AddressSanitizer sees what is read or written beside them. */
static void
test_unsorted_runs_are_merged_in_their_place(void)
{
    for (int round = 0; round < 5000; round++) {
        const trt_dtype dtype = (trt_dtype)(next_random() % TRT_DTYPES);
        const size_t size = trt_dtype_size(dtype);
        const size_t left_length = next_random() % 300,
                     right_length = next_random() % 300;
        unsigned char *left = allocate(left_length * size);
        unsigned char *right = allocate(right_length * size);
        unsigned char *out = allocate((left_length + right_length) * size);
        for (size_t i = 0; i < left_length * size; i++) {
            left[i] = (unsigned char)next_random();
        }
        for (size_t i = 0; i < right_length * size; i++) {
            right[i] = (unsigned char)next_random();
        }
        const trt_merge m = {dtype, left, left_length, right, right_length, out};
        trt_merge_kernels[dtype].merge(&m);
        free(left);
        free(right);
        free(out);
    }
}

static void
check_sums(const trt_items *items)
{
    trt_sum here = {.items = *items}, there = {.items = *items};
    trt_sum_here(&here);
    CHECK_EQ(company_run(0, trt_sum_run, &there), TRT_OK);
    CHECK_EQ(here.total.integer, there.total.integer);
    const double x = trt_total_float(&here.total), y = trt_total_float(&there.total);
    CHECK(memcmp(&x, &y, sizeof x) == 0);
}

static void
check_fill_and_copy(const trt_items *source)
{
    const size_t size = trt_dtype_size(source->dtype), bytes = source->length * size;
    trt_fill f = {
        .target = {source->dtype, allocate(bytes), source->length, (ptrdiff_t)size}};
    memset(f.value, 5, sizeof f.value);
    CHECK_EQ(company_run(0, trt_fill_run, &f), TRT_OK);
    for (size_t i = 0; i < bytes; i++) {
        CHECK_EQ(f.target.first[i], 5);
    }
    trt_copy c = {*source, f.target};
    CHECK_EQ(company_run(0, trt_copy_run, &c), TRT_OK);
    for (size_t i = 0; i < source->length; i++) {
        const char *from = source->first + (ptrdiff_t)i * source->stride;
        CHECK(memcmp(f.target.first + i * size, from, size) == 0);
    }
    free(f.target.first);
}

static void
check_types(void)
{
    double *memory = allocate(LENGTH * sizeof *memory);
    for (size_t i = 0; i < LENGTH; i++) {
        memory[i] = (double)(next_random() >> 11) - 4e15;
    }
    for (int dtype = 0; dtype < TRT_DTYPES; dtype++) {
        const ptrdiff_t size = (ptrdiff_t)trt_dtype_size((trt_dtype)dtype);
        const trt_items packed = {(trt_dtype)dtype, (char *)memory, LENGTH, size};
        const trt_items back = {(trt_dtype)dtype, (char *)(memory + LENGTH - 1), LENGTH,
                                -(ptrdiff_t)sizeof *memory};
        check_sums(&packed);
        check_sums(&back);
        check_fill_and_copy(&packed);
        check_fill_and_copy(&back);
    }
    free(memory);
}

/* Work that has been asked to end does not begin. */
static void
check_cancelled_merge(void)
{
    double *left = new_run(LENGTH, 1.0), *out = allocate(2 * LENGTH * sizeof *out);
    memset(out, 0, 2 * LENGTH * sizeof *out);
    trt_merge m = {TRT_FLOAT64, left, LENGTH, left, LENGTH, out};
    trt_work work;
    trt_work_init(&work);
    trt_store_relaxed(&work.cancel, 1);
    CHECK_EQ(company_run_root(0, &work, trt_merge_run, &m), TRT_CANCELLED);
    trt_work_destroy(&work);
    for (size_t i = 0; i < 2 * (size_t)LENGTH; i++) {
        CHECK(out[i] == 0.0);
    }
    free(left);
    free(out);
}

static void
test_merge_is_stable(void)
{
    company_try_sizes(check_merges);
}

static void
test_types_agree_with_one_thread(void)
{
    company_try_sizes(check_types);
}

static void
test_cancelled_merge_does_not_begin(void)
{
    company_try_sizes(check_cancelled_merge);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    random_state = check_random_start(0);
    RUN(test_unsorted_runs_are_merged_in_their_place);
    RUN(test_merge_is_stable);
    RUN(test_types_agree_with_one_thread);
    RUN(test_cancelled_merge_does_not_begin);
    return check_end();
}
