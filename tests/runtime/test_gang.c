/* All jobs of a gang run at the same time, whoever runs them, and nothing else is lost
 * over it. Each job waits until all others of its gang have begun: if they did not run
 * at once, it would wait for ever.
 */
#include "check.h"

#include "os/parker_os.h"
#include "sched/gang.h"
#include "sched/pool.h"
#include "sched/worker.h"

enum { WORKERS_MOST = 4, NUMBERS = 24, FIRST_NUMBER = 40 };

/* Workers that take items and sleep, as the threads of a pool do. */
static struct house {
    trt_pool pool;
    trt_hall hall;
    trt_roster roster;
    trt_worker workers[WORKERS_MOST];
    trt_thread threads[WORKERS_MOST];
    unsigned count;
    _Atomic(bool) stop;
    _Atomic(uint64_t) taken, returns; /* items; and from sleep, by all workers */
    _Atomic(uint32_t) changes;
    _Atomic(bool) in_use[TRT_GANG_MAX]; /* numbers of jobs that run now */
} house;

static void
count_change(void)
{
    trt_fetch_add_relaxed(&house.changes, 1);
}

static void
work_or_sleep(void *arg)
{
    trt_worker *const w = arg;
    while (!trt_load_acquire(&house.stop)) {
        if (trt_worker_take(w)) {
            trt_fetch_add_acq_rel(&house.taken, 1);
        } else {
            trt_worker_sleep(w, TRT_FOREVER, false, NULL);
            trt_fetch_add_acq_rel(&house.returns, 1);
        }
    }
    trt_worker_stop_searching(w);
}

static void
open_house(unsigned count)
{
    CHECK_EQ(trt_pool_init(&house.pool), 0);
    trt_hall_init(&house.hall, count_change);
    trt_hall_keep(&house.hall, WORKERS_MOST);
    house.roster.free = ((UINT64_C(1) << NUMBERS) - 1) << FIRST_NUMBER;
    house.count = count;
    trt_store_relaxed(&house.stop, false);
    trt_store_relaxed(&house.taken, 0);
    trt_store_relaxed(&house.returns, 0);
    trt_store_relaxed(&house.pool.teams[TRT_DEFAULT].running, count);
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(trt_worker_init(&house.workers[i], &house.pool, TRT_WORKER_POOL), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(trt_thread_start(&house.threads[i], "worker", 0, work_or_sleep,
                                  &house.workers[i]),
                 0);
    }
}

static void
wait_until_no_helper(void)
{
    unsigned turns = 0;
    uint32_t helpers;
    do {
        check_spin(&turns);
        trt_mutex_lock(&house.hall.lock);
        helpers = house.hall.helpers;
        trt_mutex_unlock(&house.hall.lock);
    } while (helpers > 0);
}

static void
close_house(void)
{
    trt_store_release(&house.stop, true);
    for (unsigned i = 0; i < house.count; i++) {
        trt_parker_unpark(&house.workers[i].parker);
    }
    for (unsigned i = 0; i < house.count; i++) {
        trt_thread_join(&house.threads[i]);
        CHECK(trt_load_relaxed(&house.workers[i].drafted) == NULL);
        trt_worker_destroy(&house.workers[i]);
    }
    trt_hall_dismiss(&house.hall);
    wait_until_no_helper();
    CHECK_EQ(house.roster.free, ((UINT64_C(1) << NUMBERS) - 1) << FIRST_NUMBER);
    CHECK_EQ(house.hall.running, 0);
    CHECK_EQ(trt_load_relaxed(&house.hall.lounging), 0);
    CHECK(house.hall.lounge == NULL && house.hall.waits == NULL);
    trt_pool_destroy(&house.pool); /* which finds nobody counted in the sleep word */
    trt_mutex_destroy(&house.hall.lock);
}

static void
wait_until_asleep(unsigned count)
{
    unsigned turns = 0;
    while (trt_sleep_sleeping(&house.pool.teams[TRT_DEFAULT].sleep) < count) {
        check_spin(&turns);
    }
}

/* A gang whose jobs meet. */
struct meeting {
    uint32_t count;
    _Atomic(uint32_t) begun;
    _Atomic(uint32_t) ran[TRT_GANG_MAX];
    uint64_t plain[TRT_GANG_MAX]; /* written by jobs, read by the caller */
};

static void
meet(void *arg, uint32_t index, uint32_t number)
{
    struct meeting *const m = arg;
    unsigned turns = 0;
    CHECK(number >= FIRST_NUMBER && number < FIRST_NUMBER + NUMBERS);
    CHECK(!trt_exchange_acq_rel(&house.in_use[number], true));
    trt_fetch_add_relaxed(&m->ran[index], 1);
    m->plain[index] = index + 1;
    trt_fetch_add_acq_rel(&m->begun, 1);
    while (trt_load_acquire(&m->begun) < m->count) {
        check_spin(&turns);
    }
    CHECK(trt_exchange_acq_rel(&house.in_use[number], false));
}

static void
run_meeting(trt_pool *pool, uint32_t count)
{
    struct meeting m = {.count = count};
    trt_gang_run(&house.hall, pool, &house.roster, meet, &m, count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(trt_load_relaxed(&m.ran[i]), 1);
        CHECK_EQ(m.plain[i], i + 1);
    }
}

static void
test_smoke(void)
{
    open_house(0);
    run_meeting(&house.pool, 1);
    run_meeting(NULL, 1);
    CHECK_EQ(house.hall.helpers, 0);
    CHECK_EQ(trt_load_relaxed(&house.hall.gangs), 2);
    close_house();
}

static void
test_helpers_make_up_for_workers(void)
{
    open_house(0);
    for (int i = 0; i < 100; i++) {
        run_meeting(NULL, 4);
    }
    CHECK_EQ(trt_load_relaxed(&house.hall.helper_jobs), 300);
    CHECK_EQ(house.hall.helpers, 3);
    close_house();
}

static void
test_more_helpers_than_kept_come_if_they_must(void)
{
    open_house(0);
    run_meeting(NULL, NUMBERS);
    close_house();
}

static void
test_sleeping_workers_run_the_jobs(void)
{
    open_house(3);
    for (int i = 0; i < 100; i++) {
        wait_until_asleep(3);
        run_meeting(&house.pool, 4);
    }
    CHECK_EQ(trt_load_relaxed(&house.hall.worker_jobs), 300);
    CHECK_EQ(trt_load_relaxed(&house.hall.helper_jobs), 0);
    CHECK(trt_load_relaxed(&house.changes) > 0);
    close_house();
}

static void
test_workers_stay_for_the_next_gang(void)
{
    open_house(1);
    wait_until_asleep(1);
    for (int i = 0; i < 1000; i++) {
        /* In the lounge before the gang has ended: to be had at once. */
        run_meeting(&house.pool, 2);
    }
    CHECK(trt_load_relaxed(&house.hall.worker_jobs) > 500);
    close_house();
}

/* A worker that was woken for an item and does not run yet is taken, and then finds the
 * item. */
static void
test_woken_worker_is_taken_and_finds_its_work(void)
{
    open_house(1);
    trt_worker pusher;
    CHECK_EQ(trt_worker_init(&pusher, &house.pool, TRT_WORKER_FOREIGN), 0);
    for (uint64_t i = 1; i <= 200; i++) {
        unsigned turns = 0;
        wait_until_asleep(1);
        CHECK_EQ(trt_worker_push(&pusher, &house), 0);
        run_meeting(&house.pool, 2);
        while (trt_load_acquire(&house.taken) < i) {
            check_spin(&turns);
        }
    }
    trt_worker_destroy(&pusher);
    close_house();
}

/* An unpark is for the thread's own loop, also if a draft comes before the thread runs.
 */
static void
test_unpark_before_the_draft_ends_the_sleep(void)
{
    open_house(1);
    for (int i = 0; i < 200; i++) {
        unsigned turns = 0;
        wait_until_asleep(1);
        const uint64_t before = trt_load_acquire(&house.returns);
        trt_parker_unpark(&house.workers[0].parker);
        run_meeting(&house.pool, 2);
        while (trt_load_acquire(&house.returns) == before) {
            check_spin(&turns);
        }
    }
    close_house();
}

static void
wait_for_items(void *pushed, uint32_t index, uint32_t number)
{
    unsigned turns = 0;
    (void)index;
    (void)number;
    while (trt_load_acquire(&house.taken) < *(uint64_t *)pushed) {
        check_spin(&turns);
    }
}

static trt_worker *falling; /* the worker that draft_falling() drafts, or NULL */
static trt_gang falling_gang;

static void
mark_falling(trt_parker *parker, void *gang)
{
    CHECK(parker == &falling->parker);
    falling->hall = &house.hall;
    trt_store_release(&falling->drafted, gang);
}

/* Called by a worker that has just gone to the stack of sleepers, before it looks at
 * the queues again. */
static void
draft_falling(trt_sleep *sleep)
{
    trt_parker *parker;
    if (falling) {
        CHECK_EQ(trt_sleep_draft(sleep, 1, &parker, mark_falling, &falling_gang), 1);
        falling = NULL;
        trt_parker_nudge(parker);
    }
}

/* A push counts on a worker that searches; that one is drafted as it falls asleep. It
 * is in the gang until the other worker, which sleeps, has taken the item. */
static void
test_duty_of_a_drafted_worker_is_passed_on(void)
{
    static trt_worker worker;
    uint64_t pushed = 1;
    unsigned turns = 0;
    open_house(1);
    while (trt_load_acquire(&house.workers[0].parker.word) != TRT_PARKER_ASLEEP) {
        check_spin(&turns); /* until it is beyond its own rescan */
    }
    CHECK_EQ(trt_worker_init(&worker, &house.pool, TRT_WORKER_POOL), 0);
    falling_gang = (trt_gang){.job = wait_for_items, .arg = &pushed};
    trt_store_relaxed(&falling_gang.left, 1);
    trt_parker_init(&falling_gang.parker);
    CHECK(trt_worker_search(&worker));
    CHECK_EQ(trt_worker_push(&worker, &house), 0);
    CHECK_EQ(trt_sleep_sleeping(&house.pool.teams[TRT_DEFAULT].sleep),
             1); /* so it has woken nobody */
    falling = &worker;
    trt_store_relaxed(&house.pool.teams[TRT_DEFAULT].sleep.told, draft_falling);
    CHECK_EQ(trt_worker_sleep(&worker, TRT_FOREVER, false, NULL), TRT_PARK_NOTIFIED);
    trt_store_relaxed(&house.pool.teams[TRT_DEFAULT].sleep.told, NULL);
    CHECK_EQ(trt_load_relaxed(&falling_gang.left), 0);
    CHECK_EQ(trt_load_relaxed(&house.taken), 1);
    trt_parker_destroy(&falling_gang.parker);
    trt_worker_stop_searching(&worker);
    close_house();
    trt_worker_destroy(&worker);
}

static void
call_some(unsigned number, void *rounds)
{
    uint64_t random = check_random_start(number);
    for (uint64_t i = *(uint64_t *)rounds; i > 0; i--) {
        check_delay(&random, check_random(&random, 20) == 0 ? 20000 : 200);
        run_meeting(&house.pool, 1 + (uint32_t)check_random(&random, 5));
    }
}

static void
test_stampede_of_callers(void)
{
    uint64_t rounds = 2000 / CHECK_SLOWNESS;
    open_house(2);
    check_run_threads(6, call_some, &rounds);
    close_house();
}

struct load {
    uint64_t items;
    trt_worker pushers[2];
};

/* Threads 0 and 1 push one item after the other and wait for it, the others call: a
 * push that is lost over a draft is a hang. */
static void
push_or_call(unsigned number, void *shared)
{
    struct load *const load = shared;
    if (number > 1) {
        call_some(number, &load->items);
        return;
    }
    uint64_t random = check_random_start(number);
    for (uint64_t i = 0; i < load->items; i++) {
        unsigned turns = 0;
        const uint64_t before = trt_load_acquire(&house.taken);
        check_delay(&random, check_random(&random, 20) == 0 ? 50000 : 300);
        CHECK_EQ(trt_worker_push(&load->pushers[number], &house), 0);
        while (trt_load_acquire(&house.taken) == before) {
            check_spin(&turns);
        }
    }
}

static void
test_no_push_is_lost(void)
{
    static struct load load;
    load.items = 4000 / CHECK_SLOWNESS;
    open_house(3);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(trt_worker_init(&load.pushers[i], &house.pool, TRT_WORKER_FOREIGN), 0);
    }
    check_run_threads(4, push_or_call, &load);
    for (int i = 0; i < 2; i++) {
        trt_worker_destroy(&load.pushers[i]);
    }
    close_house();
}

static void
close_or_call(unsigned number, void *rounds)
{
    if (number > 0) {
        call_some(number, rounds);
        return;
    }
    uint64_t random = check_random_start(number);
    for (uint64_t i = *(uint64_t *)rounds; i > 0; i--) {
        trt_hall_close(&house.hall);
        CHECK_EQ(house.hall.running, 0);
        check_delay(&random, 1000);
        CHECK_EQ(house.hall.running, 0);
        trt_hall_open(&house.hall);
        check_delay(&random, 20000);
    }
}

static void
test_no_gang_runs_while_the_hall_is_closed(void)
{
    uint64_t rounds = 1000 / CHECK_SLOWNESS;
    open_house(2);
    check_run_threads(4, close_or_call, &rounds);
    close_house();
}

static void
dismiss_or_call(unsigned number, void *rounds)
{
    if (number > 0) {
        call_some(number, rounds);
        return;
    }
    uint64_t random = check_random_start(number);
    for (uint64_t i = *(uint64_t *)rounds; i > 0; i--) {
        trt_hall_dismiss(&house.hall);
        check_delay(&random, 20000);
        trt_hall_keep(&house.hall, WORKERS_MOST);
        check_delay(&random, 20000);
    }
}

static void
test_helpers_are_dismissed_at_any_time(void)
{
    uint64_t rounds = 500 / CHECK_SLOWNESS;
    open_house(1);
    check_run_threads(4, dismiss_or_call, &rounds);
    close_house();
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_helpers_make_up_for_workers);
    RUN(test_more_helpers_than_kept_come_if_they_must);
    RUN(test_sleeping_workers_run_the_jobs);
    RUN(test_workers_stay_for_the_next_gang);
    RUN(test_woken_worker_is_taken_and_finds_its_work);
    RUN(test_unpark_before_the_draft_ends_the_sleep);
    RUN(test_duty_of_a_drafted_worker_is_passed_on);
    RUN(test_stampede_of_callers);
    RUN(test_no_push_is_lost);
    RUN(test_no_gang_runs_while_the_hall_is_closed);
    RUN(test_helpers_are_dismissed_at_any_time);
    return check_end();
}
