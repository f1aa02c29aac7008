/* A worker that sleeps for tasks alone: no push is lost on it, and children of native
 * code do not wake it. What else workers do is tested by way of what they are made of.
 */
#include "check.h"

#include "sched/pool.h"
#include "sched/worker.h"

struct house {
    trt_pool pool;
    trt_worker sleeper, pusher;
    _Atomic(uint64_t) taken;
    uint64_t items;
};

static void
open_house(struct house *house, uint64_t items)
{
    CHECK_EQ(trt_pool_init(&house->pool), 0);
    trt_store_relaxed(&house->pool.teams[TRT_DEFAULT].running, 1);
    CHECK_EQ(trt_worker_init(&house->sleeper, &house->pool, TRT_WORKER_MAIN), 0);
    CHECK_EQ(trt_worker_init(&house->pusher, &house->pool, TRT_WORKER_FOREIGN), 0);
    trt_store_relaxed(&house->taken, 0);
    house->items = items;
}

static void
close_house(struct house *house)
{
    CHECK(trt_load_relaxed(&house->pool.teams[TRT_DEFAULT].light_sleeper) == NULL);
    CHECK_EQ(trt_load_relaxed(&house->pool.teams[TRT_DEFAULT].sleep.word), 0);
    trt_worker_destroy(&house->sleeper);
    trt_worker_destroy(&house->pusher);
    trt_pool_destroy(&house->pool);
}

static void
take_all(struct house *house)
{
    while (trt_worker_take(&house->sleeper)) {
        trt_fetch_add_acq_rel(&house->taken, 1);
    }
    trt_worker_stop_searching(&house->sleeper);
}

/* Thread 0 sleeps whenever there is nothing, thread 1 pushes the next when the one
 * before was taken: a push that is lost is a hang. */
static void
push_or_sleep(unsigned number, void *shared)
{
    struct house *house = shared;
    uint64_t random = check_random_start(number);
    for (uint64_t i = 1; i <= house->items; i++) {
        check_delay(&random, check_random(&random, 50) == 0 ? 20000 : 100);
        if (number == 1) {
            unsigned turns = 0;
            CHECK_EQ(trt_worker_push(&house->pusher, house), 0);
            while (trt_load_acquire(&house->taken) < i) {
                check_spin(&turns);
            }
        }
        while (number == 0 && trt_load_relaxed(&house->taken) < i) {
            take_all(house);
            if (trt_load_relaxed(&house->taken) < i) {
                trt_worker_sleep_for_tasks(&house->sleeper, TRT_FOREVER, false, NULL);
            }
        }
    }
}

static void
test_no_push_is_lost(void)
{
    struct house house;
    open_house(&house, 100 * 1000 / CHECK_SLOWNESS);
    check_run_threads(2, push_or_sleep, &house);
    CHECK(trt_load_relaxed(&house.pusher.counters.wakes) > 0);
    close_house(&house);
}

static bool asked;

static bool
refuse(trt_worker *w)
{
    CHECK(trt_load_relaxed(&w->pool->teams[TRT_DEFAULT].light_sleeper) == w);
    CHECK_EQ(trt_sleep_sleeping(&w->pool->teams[TRT_DEFAULT].sleep), 0);
    asked = true;
    return false;
}

static void
test_who_is_asked_may_refuse_to_park(void)
{
    struct house house;
    open_house(&house, 0);
    CHECK_EQ(trt_worker_sleep_for_tasks(&house.sleeper, TRT_FOREVER, false, refuse),
             TRT_PARK_NOTIFIED);
    CHECK(asked);
    CHECK_EQ(house.sleeper.counters.sleeps, 0);
    close_house(&house);
}

static void
test_deadline_ends_it(void)
{
    struct house house;
    open_house(&house, 0);
    CHECK_EQ(trt_worker_sleep_for_tasks(&house.sleeper, trt_clock_now_ns() + 1000,
                                        false, NULL),
             TRT_PARK_TIMED_OUT);
    CHECK_EQ(house.sleeper.counters.sleeps, 1);
    close_house(&house);
}

static void
test_rouse_wakes_once(void)
{
    struct house house;
    open_house(&house, 0);
    CHECK(!trt_team_rouse(&house.pool.teams[TRT_DEFAULT]));
    trt_store_relaxed(&house.pool.teams[TRT_DEFAULT].light_sleeper, &house.sleeper);
    trt_team_rouse(&house.pool.teams[TRT_DEFAULT]);
    CHECK(trt_load_relaxed(&house.pool.teams[TRT_DEFAULT].light_sleeper) == NULL);
    CHECK(!trt_team_rouse(&house.pool.teams[TRT_DEFAULT]));
    CHECK_EQ(trt_parker_park(&house.sleeper.parker, TRT_FOREVER), TRT_PARK_NOTIFIED);
    close_house(&house);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_rouse_wakes_once);
    RUN(test_deadline_ends_it);
    RUN(test_who_is_asked_may_refuse_to_park);
    RUN(test_no_push_is_lost);
    return check_end();
}
