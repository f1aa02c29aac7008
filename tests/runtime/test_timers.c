/* Timers come out in the order of their deadlines, and not before. */
#include "check.h"

#include "queue/timers.h"

static trt_timer
timer_at(uint64_t deadline_ns)
{
    return (trt_timer){.deadline_ns = deadline_ns, .index = TRT_TIMER_IDLE};
}

static void
test_smoke(void)
{
    trt_timers h;
    trt_timer late = timer_at(30), early = timer_at(10), middle = timer_at(20);
    trt_timers_init(&h);
    CHECK_EQ(trt_timers_add(&h, &late), 0);
    CHECK_EQ(trt_timers_add(&h, &early), 0);
    CHECK_EQ(trt_timers_add(&h, &middle), 0);
    CHECK_EQ(trt_timers_next_deadline(&h), 10);
    CHECK(trt_timers_pop_due(&h, 9) == NULL);
    CHECK(trt_timers_pop_due(&h, 10) == &early);
    CHECK(trt_timers_pop_due(&h, 10) == NULL);
    CHECK(trt_timers_pop_due(&h, 100) == &middle);
    CHECK(trt_timers_pop_due(&h, 100) == &late);
    CHECK(trt_timers_pop_due(&h, 100) == NULL);
    trt_timers_destroy(&h);
}

static void
test_empty(void)
{
    trt_timers h = {0}; /* zeroed is initialised too */
    trt_timer timer = timer_at(1);
    CHECK_EQ(trt_timers_next_deadline(&h), TRT_FOREVER);
    CHECK(trt_timers_pop_due(&h, TRT_FOREVER) == NULL);
    CHECK(!trt_timers_remove(&h, &timer));
    trt_timers_destroy(&h);
}

static void
test_removed_timer_does_not_come(void)
{
    trt_timers h;
    trt_timer a = timer_at(10), b = timer_at(20);
    trt_timers_init(&h);
    CHECK_EQ(trt_timers_add(&h, &a), 0);
    CHECK_EQ(trt_timers_add(&h, &b), 0);
    CHECK(trt_timers_remove(&h, &a));
    CHECK(!trt_timers_remove(&h, &a));
    CHECK_EQ(a.index, TRT_TIMER_IDLE);
    CHECK(trt_timers_pop_due(&h, 100) == &b);
    CHECK(!trt_timers_remove(&h, &b)); /* it has fired */
    b.deadline_ns = 5;
    CHECK_EQ(trt_timers_add(&h, &b), 0); /* and may be used again */
    CHECK_EQ(trt_timers_next_deadline(&h), 5);
    trt_timers_destroy(&h);
}

/* Against a plain array that is searched from end to end. */
enum { MODEL_TIMERS = 300 };

struct model {
    trt_timers heap;
    trt_timer timers[MODEL_TIMERS];
    uint64_t now;
};

static bool
is_idle(const trt_timer *timer)
{
    return timer->index == TRT_TIMER_IDLE;
}

static uint64_t
least_deadline(const struct model *m)
{
    uint64_t least = TRT_FOREVER;
    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        if (!is_idle(&m->timers[i]) && m->timers[i].deadline_ns < least) {
            least = m->timers[i].deadline_ns;
        }
    }
    return least;
}

/* Fire all that is due; each is the earliest that is left. */
static void
advance(struct model *m, uint64_t ns)
{
    m->now += ns;
    for (;;) {
        const uint64_t least = least_deadline(m);
        const trt_timer *due = trt_timers_pop_due(&m->heap, m->now);
        if (due == NULL) {
            CHECK(least > m->now);
            return;
        }
        CHECK_EQ(due->deadline_ns, least);
        CHECK(is_idle(due));
    }
}

static void
test_stress(void)
{
    static struct model m;
    uint64_t random = check_random_start(0);
    trt_timers_init(&m.heap);
    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        m.timers[i] = timer_at(0);
    }
    for (int step = 0; step < 100000 / CHECK_SLOWNESS; step++) {
        trt_timer *timer = &m.timers[check_random(&random, MODEL_TIMERS)];
        if (check_random(&random, 20) == 0) {
            advance(&m, check_random(&random, 200));
        } else if (is_idle(timer)) {
            timer->deadline_ns = m.now + check_random(&random, 1000); /* with ties */
            CHECK_EQ(trt_timers_add(&m.heap, timer), 0);
        } else {
            CHECK(trt_timers_remove(&m.heap, timer));
        }
        CHECK_EQ(trt_timers_next_deadline(&m.heap), least_deadline(&m));
    }
    advance(&m, 1000);
    CHECK_EQ(trt_timers_next_deadline(&m.heap), TRT_FOREVER);
    trt_timers_destroy(&m.heap);
}

static void
test_destruction_leaves_timers_idle(void)
{
    trt_timers h;
    trt_timer timers[100];
    trt_timers_init(&h);
    for (size_t i = 0; i < 100; i++) {
        timers[i] = timer_at(i * 7 % 100);
        CHECK_EQ(trt_timers_add(&h, &timers[i]), 0);
    }
    trt_timers_destroy(&h);
    for (size_t i = 0; i < 100; i++) {
        CHECK(is_idle(&timers[i]));
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_removed_timer_does_not_come);
    RUN(test_stress);
    RUN(test_destruction_leaves_timers_idle);
    return check_end();
}
