/* Delays are made, and change nothing but when things happen. Built with TRT_CHAOS. */
#include "check.h"

#include "os/chaos.h"

enum { ROUNDS = 10000 };

static void
test_operations_and_locks_are_held_up(void)
{
    _Atomic(uint64_t) word = 0;
    const uint64_t before = trt_chaos_delays();
    for (int i = 0; i < ROUNDS; i++) {
        trt_fetch_add_relaxed(&word, 1);
    }
    const uint64_t after_operations = trt_chaos_delays();
    CHECK(after_operations > before);
    trt_mutex mutex;
    trt_mutex_init(&mutex);
    for (int i = 0; i < ROUNDS; i++) {
        trt_mutex_lock(&mutex);
        trt_mutex_unlock(&mutex);
    }
    trt_mutex_destroy(&mutex);
    CHECK(trt_chaos_delays() > after_operations);
}

static void
test_most_operations_are_not_held_up(void)
{
    _Atomic(uint64_t) word = 0;
    const uint64_t before = trt_chaos_delays();
    for (int i = 0; i < ROUNDS; i++) {
        trt_fetch_add_relaxed(&word, 1);
    }
    CHECK(trt_chaos_delays() - before < ROUNDS);
}

static void
test_values_pass_through(void)
{
    _Atomic(uint32_t) word = 1;
    uint32_t expected = 2;
    CHECK(!trt_cas_acq_rel(&word, &expected, 3));
    CHECK_EQ(expected, 1);
    CHECK(trt_cas_acq_rel(&word, &expected, 3));
    CHECK_EQ(trt_load_acquire(&word), 3);
    CHECK_EQ(trt_exchange_acq_rel(&word, 4), 3);
    trt_store_release(&word, 6);
    CHECK_EQ(trt_fetch_add_relaxed(&word, 1), 6);
    CHECK_EQ(trt_fetch_and_relaxed(&word, 3u), 7);
    CHECK_EQ(trt_load_seq_cst(&word), 3);
    static const int seven = 7;
    _Atomic(const int *) pointer = NULL;
    trt_store_release(&pointer, &seven);
    CHECK_EQ(*trt_load_acquire(&pointer), 7);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_operations_and_locks_are_held_up);
    RUN(test_most_operations_are_not_held_up);
    RUN(test_values_pass_through);
    return check_end();
}
