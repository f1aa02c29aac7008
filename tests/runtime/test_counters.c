/* Counts add up, and may be read while they grow. */
#include "check.h"

#include "trace/counters.h"

static void
test_snapshots_add_up(void)
{
    trt_counters workers[2] = {0};
    trt_counters_snapshot sum = {0};
    trt_count(&workers[0].spawned);
    trt_count(&workers[1].spawned);
    trt_count(&workers[0].inlined);
    trt_count(&workers[0].stolen);
    trt_count(&workers[0].stolen);
    trt_count(&workers[1].ran);
    trt_count(&workers[1].parked);
    trt_count(&workers[1].wakes);
    trt_count(&workers[0].spurious_wakes);
    trt_count(&workers[0].sleeps);
    trt_count(&workers[1].sleeps);
    trt_count(&workers[1].sleeps);
    for (int i = 0; i < 2; i++) {
        trt_counters_add_to(&workers[i], &sum);
    }
    CHECK_EQ(sum.spawned, 2);
    CHECK_EQ(sum.inlined, 1);
    CHECK_EQ(sum.stolen, 2);
    CHECK_EQ(sum.ran, 1);
    CHECK_EQ(sum.parked, 1);
    CHECK_EQ(sum.wakes, 1);
    CHECK_EQ(sum.spurious_wakes, 1);
    CHECK_EQ(sum.sleeps, 3);
}

#define COUNTS (1000000 / CHECK_SLOWNESS)

struct watched {
    trt_counters counters;
    _Atomic(bool) done;
};

static void
count_or_watch(unsigned number, void *shared)
{
    struct watched *watched = shared;
    if (number == 0) {
        for (int i = 0; i < COUNTS; i++) {
            trt_count(&watched->counters.ran);
        }
        trt_store_release(&watched->done, true);
        return;
    }
    uint64_t before = 0;
    while (!trt_load_acquire(&watched->done)) {
        trt_counters_snapshot now = {0};
        trt_counters_add_to(&watched->counters, &now);
        CHECK(now.ran >= before);
        before = now.ran;
    }
}

static void
test_counters_may_be_read_while_they_grow(void)
{
    struct watched watched = {.done = false};
    trt_counters_snapshot end = {0};
    check_run_threads(3, count_or_watch, &watched);
    trt_counters_add_to(&watched.counters, &end);
    CHECK_EQ(end.ran, COUNTS);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_snapshots_add_up);
    RUN(test_counters_may_be_read_while_they_grow);
    return check_end();
}
