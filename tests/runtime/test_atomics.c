/* The named operations do what their names say. */
#include "check.h"

static void
test_loads_see_stores(void)
{
    _Atomic(uint32_t) word = 1;
    CHECK_EQ(trt_load_relaxed(&word), 1);
    trt_store_relaxed(&word, 2);
    CHECK_EQ(trt_load_acquire(&word), 2);
    trt_store_release(&word, 3);
    CHECK_EQ(trt_load_seq_cst(&word), 3);
    trt_store_seq_cst(&word, 4);
    CHECK_EQ(trt_load_relaxed(&word), 4);
}

static void
test_modifications_return_the_value_before(void)
{
    _Atomic(uint32_t) word = 10;
    CHECK_EQ(trt_exchange_relaxed(&word, 11), 10);
    CHECK_EQ(trt_exchange_acq_rel(&word, 12), 11);
    CHECK_EQ(trt_exchange_seq_cst(&word, 13), 12);
    CHECK_EQ(trt_fetch_add_relaxed(&word, 1), 13);
    CHECK_EQ(trt_fetch_add_acq_rel(&word, 1), 14);
    CHECK_EQ(trt_fetch_add_seq_cst(&word, 1), 15);
    CHECK_EQ(trt_fetch_sub_relaxed(&word, 4), 16);
    CHECK_EQ(trt_fetch_sub_acq_rel(&word, 4), 12);
    CHECK_EQ(trt_fetch_sub_seq_cst(&word, 8), 8);
    CHECK_EQ(trt_fetch_or_relaxed(&word, 1), 0);
    CHECK_EQ(trt_fetch_or_acq_rel(&word, 2), 1);
    CHECK_EQ(trt_fetch_or_seq_cst(&word, 4), 3);
    CHECK_EQ(trt_fetch_and_relaxed(&word, ~1u), 7);
    CHECK_EQ(trt_fetch_and_acq_rel(&word, ~2u), 6);
    CHECK_EQ(trt_fetch_and_seq_cst(&word, ~4u), 4);
    CHECK_EQ(trt_load_relaxed(&word), 0);
}

static void
test_compare_and_swap_reports_what_it_found(void)
{
    _Atomic(uint32_t) word = 5;
    uint32_t expected = 4;
    CHECK(!trt_cas_relaxed(&word, &expected, 6));
    CHECK_EQ(expected, 5);
    CHECK(trt_cas_relaxed(&word, &expected, 6));
    CHECK(!trt_cas_acq_rel(&word, &expected, 7));
    CHECK_EQ(expected, 6);
    CHECK(trt_cas_acq_rel(&word, &expected, 7));
    CHECK(!trt_cas_seq_cst(&word, &expected, 8));
    CHECK_EQ(expected, 7);
    CHECK(trt_cas_seq_cst(&word, &expected, 8));
    CHECK_EQ(trt_load_relaxed(&word), 8);
}

#define INCREMENTS (200000 / CHECK_SLOWNESS)

struct counters {
    _Atomic(uint64_t) added;
    _Atomic(uint64_t) swapped;
};

static void
increment(unsigned number, void *shared)
{
    struct counters *counters = shared;
    (void)number;
    for (int i = 0; i < INCREMENTS; i++) {
        trt_fetch_add_relaxed(&counters->added, 1);
        uint64_t expected = trt_load_relaxed(&counters->swapped);
        while (!trt_cas_relaxed(&counters->swapped, &expected, expected + 1)) {
            trt_cpu_relax();
        }
    }
}

static void
test_modifications_are_not_lost(void)
{
    struct counters counters = {0};
    check_run_threads(4, increment, &counters);
    CHECK_EQ(trt_load_relaxed(&counters.added), 4 * INCREMENTS);
    CHECK_EQ(trt_load_relaxed(&counters.swapped), 4 * INCREMENTS);
}

struct store_buffer {
    struct check_gate gate;
    _Atomic(uint32_t) wrote[2];
    uint32_t saw[2]; /* by each thread of the other's write */
};

#define FENCE_ROUNDS (50000 / CHECK_SLOWNESS)

static void
write_fence_read(unsigned number, void *shared)
{
    struct store_buffer *sb = shared;
    uint64_t random = check_random_start(number);
    for (int i = 0; i < FENCE_ROUNDS; i++) {
        trt_store_relaxed(&sb->wrote[number], 0);
        check_gate_pass(&sb->gate);
        check_delay(&random, 20);
        trt_store_relaxed(&sb->wrote[number], 1);
        trt_fence_seq_cst();
        sb->saw[number] = trt_load_relaxed(&sb->wrote[1 - number]);
        check_gate_pass(&sb->gate);
        CHECK(sb->saw[0] == 1 || sb->saw[1] == 1);
        check_gate_pass(&sb->gate);
    }
}

static void
test_of_two_fenced_threads_one_sees_the_other(void)
{
    struct store_buffer sb = {.gate = {.count = 2}};
    check_run_threads(2, write_fence_read, &sb);
}

static void
test_gap_keeps_fields_on_different_lines(void)
{
    struct apart {
        char first;
        TRT_LINE_GAP(gap);
        char second;
    };
    CHECK(offsetof(struct apart, second) - offsetof(struct apart, first) >=
          TRT_CACHE_LINE);
    static TRT_ALIGNED_TO_LINE char aligned;
    CHECK_EQ((uintptr_t)&aligned % TRT_CACHE_LINE, 0);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_loads_see_stores);
    RUN(test_modifications_return_the_value_before);
    RUN(test_compare_and_swap_reports_what_it_found);
    RUN(test_modifications_are_not_lost);
    RUN(test_of_two_fenced_threads_one_sees_the_other);
    RUN(test_gap_keeps_fields_on_different_lines);
    return check_end();
}
