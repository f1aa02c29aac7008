/* Time does not go backwards, on one thread or across threads. */
#include "check.h"

#include <time.h>

static void
test_clock_is_monotonic(void)
{
    uint64_t before = trt_clock_now_ns();
    for (int i = 0; i < 100000; i++) {
        const uint64_t now = trt_clock_now_ns();
        CHECK(now >= before);
        before = now;
    }
    CHECK(before < TRT_FOREVER);
}

static void
test_clock_counts_nanoseconds(void)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    const uint64_t now = trt_clock_now_ns();
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(now >= (uint64_t)start.tv_sec * 1000000000 + (uint64_t)start.tv_nsec);
    CHECK(now <= (uint64_t)end.tv_sec * 1000000000 + (uint64_t)end.tv_nsec);
}

#define HANDOVERS (20000 / CHECK_SLOWNESS)

struct relay {
    struct check_gate gate;
    uint64_t latest; /* written by the thread whose turn it is */
};

static void
read_in_turn(unsigned number, void *shared)
{
    struct relay *relay = shared;
    for (unsigned i = 0; i < HANDOVERS; i++) {
        if (i % 2 == number) {
            const uint64_t now = trt_clock_now_ns();
            CHECK(now >= relay->latest);
            relay->latest = now;
        }
        check_gate_pass(&relay->gate);
    }
}

static void
test_clock_is_the_same_on_all_threads(void)
{
    struct relay relay = {.gate = {.count = 2}};
    check_run_threads(2, read_in_turn, &relay);
    CHECK(relay.latest <= trt_clock_now_ns());
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_clock_is_monotonic);
    RUN(test_clock_counts_nanoseconds);
    RUN(test_clock_is_the_same_on_all_threads);
    return check_end();
}
