/* No wake-up is lost, none is made for nothing, and the counts are right.
 *
 *     test_sleep [SEED [ROUNDS]]
 *
 * ROUNDS, 100,000 by default, is how many times the long tests go round.
 */
#include "troupe.h"

enum { MOST = 8 }; /* workers on the stage */

static uint64_t rounds = 100000 / CHECK_SLOWNESS;

/* --- one thread plays all parts */

struct stage {
    trt_sleep sleep;
    trt_parker parkers[MOST];
};

static void
set_stage(struct stage *stage)
{
    CHECK_EQ(trt_sleep_init(&stage->sleep, MOST), 0);
    for (int i = 0; i < MOST; i++) {
        trt_parker_init(&stage->parkers[i]);
    }
}

static void
clear_stage(struct stage *stage)
{
    trt_sleep_destroy(&stage->sleep);
    for (int i = 0; i < MOST; i++) {
        CHECK(!trt_parker_take_token(&stage->parkers[i]));
        trt_parker_destroy(&stage->parkers[i]);
    }
}

static void
announce(struct stage *stage, size_t id, bool searching)
{
    trt_sleep_announce(&stage->sleep, id, &stage->parkers[id], searching);
}

static bool
was_woken(struct stage *stage, size_t id)
{
    return trt_parker_take_token(&stage->parkers[id]);
}

static void
check_counts(struct stage *stage, unsigned searching, unsigned sleeping)
{
    CHECK_EQ(trt_sleep_searching(&stage->sleep), searching);
    CHECK_EQ(trt_sleep_sleeping(&stage->sleep), sleeping);
}

static void
test_smoke(void)
{
    struct stage stage;
    set_stage(&stage);
    CHECK(trt_sleep_try_search(&stage.sleep, MOST));
    check_counts(&stage, 1, 0);
    announce(&stage, 0, true);
    check_counts(&stage, 0, 1);
    trt_sleep_notify(&stage.sleep);
    check_counts(&stage, 1, 0);
    CHECK(was_woken(&stage, 0));
    CHECK(trt_sleep_retract(&stage.sleep, 0, true));
    check_counts(&stage, 1, 0);
    trt_sleep_found(&stage.sleep);
    check_counts(&stage, 0, 0);
    clear_stage(&stage);
}

static void
test_empty_has_nobody_to_wake(void)
{
    struct stage stage;
    set_stage(&stage);
    trt_sleep_notify(&stage.sleep);
    trt_sleep_wake_slow(&stage.sleep);
    check_counts(&stage, 0, 0);
    CHECK(trt_sleep_try_search(&stage.sleep, 1));
    trt_sleep_notify(&stage.sleep);
    trt_sleep_found(&stage.sleep);
    check_counts(&stage, 0, 0);
    clear_stage(&stage);
}

static void
test_one_may_search_and_more_up_to_half_of_the_awake(void)
{
    struct stage stage;
    set_stage(&stage);
    for (size_t awake = 0; awake <= MOST; awake++) {
        unsigned searching = 0;
        while (trt_sleep_try_search(&stage.sleep, awake)) {
            searching++;
        }
        CHECK_EQ(searching, awake < 2 ? 1 : (awake + 1) / 2);
        check_counts(&stage, searching, 0);
        while (searching-- > 0) {
            trt_sleep_found(&stage.sleep);
        }
    }
    clear_stage(&stage);
}

static void
test_nobody_is_woken_while_somebody_searches(void)
{
    struct stage stage;
    set_stage(&stage);
    announce(&stage, 0, false);
    CHECK(trt_sleep_try_search(&stage.sleep, MOST));
    trt_sleep_notify(&stage.sleep);
    CHECK(!was_woken(&stage, 0));
    check_counts(&stage, 1, 1);
    /* The worker that is woken searches already before it runs. */
    trt_sleep_found(&stage.sleep);
    CHECK(was_woken(&stage, 0));
    announce(&stage, 1, false);
    trt_sleep_notify(&stage.sleep);
    CHECK(!was_woken(&stage, 1));
    check_counts(&stage, 1, 1);
    CHECK(trt_sleep_retract(&stage.sleep, 0, true));
    CHECK(!trt_sleep_retract(&stage.sleep, 1, false));
    trt_sleep_found(&stage.sleep);
    clear_stage(&stage);
}

static void
test_last_searcher_that_stops_wakes_the_next(void)
{
    struct stage stage;
    set_stage(&stage);
    announce(&stage, 0, false);
    CHECK(trt_sleep_try_search(&stage.sleep, MOST));
    CHECK(trt_sleep_try_search(&stage.sleep, MOST));
    trt_sleep_found(&stage.sleep);
    CHECK(!was_woken(&stage, 0)); /* the other one still searches */
    trt_sleep_found(&stage.sleep);
    CHECK(was_woken(&stage, 0));
    CHECK(trt_sleep_retract(&stage.sleep, 0, true));
    trt_sleep_found(&stage.sleep);
    check_counts(&stage, 0, 0);
    clear_stage(&stage);
}

static void
test_searcher_that_falls_asleep_wakes_nobody(void)
{
    struct stage stage;
    set_stage(&stage);
    announce(&stage, 0, false);
    CHECK(trt_sleep_try_search(&stage.sleep, MOST));
    announce(&stage, 1, true);
    check_counts(&stage, 0, 2);
    CHECK(!was_woken(&stage, 0) && !was_woken(&stage, 1));
    CHECK(!trt_sleep_retract(&stage.sleep, 0, false));
    CHECK(!trt_sleep_retract(&stage.sleep, 1, false));
    clear_stage(&stage);
}

static void
test_most_recent_sleeper_is_woken_first(void)
{
    struct stage stage;
    set_stage(&stage);
    for (size_t id = 0; id < MOST; id++) {
        announce(&stage, id, false);
    }
    CHECK(trt_sleep_retract(&stage.sleep, 3, true)); /* out of the middle */
    trt_sleep_found(&stage.sleep);                   /* wakes the last */
    for (size_t id = MOST; id-- > 0;) {
        if (id != 3) {
            CHECK(was_woken(&stage, id));
            CHECK(trt_sleep_retract(&stage.sleep, id, true));
            trt_sleep_found(&stage.sleep);
        }
    }
    check_counts(&stage, 0, 0);
    clear_stage(&stage);
}

static void
test_worker_that_leaves_by_itself_is_never_woken(void)
{
    struct stage stage;
    set_stage(&stage);
    announce(&stage, 0, false);
    announce(&stage, 1, false);
    CHECK(!trt_sleep_retract(&stage.sleep, 1, false)); /* busy, and wakes nobody */
    check_counts(&stage, 0, 1);
    CHECK(!was_woken(&stage, 0));
    trt_sleep_notify(&stage.sleep);
    CHECK(was_woken(&stage, 0) && !was_woken(&stage, 1));
    CHECK(trt_sleep_retract(&stage.sleep, 0, true));
    trt_sleep_found(&stage.sleep);
    clear_stage(&stage);
}

static void
test_worker_that_a_waker_counted_stays_counted(void)
{
    struct stage stage;
    set_stage(&stage);
    announce(&stage, 0, false);
    announce(&stage, 1, false);
    trt_sleep_notify(&stage.sleep); /* means worker 1, which leaves for its inbox */
    CHECK(trt_sleep_retract(&stage.sleep, 1, false));
    check_counts(&stage, 1, 1);
    trt_sleep_found(&stage.sleep); /* so it owes the wake-up of the next */
    CHECK(was_woken(&stage, 0) && was_woken(&stage, 1));
    CHECK(trt_sleep_retract(&stage.sleep, 0, true));
    trt_sleep_found(&stage.sleep);
    clear_stage(&stage);
}

static void
test_token_of_a_past_wake_up_does_not_change_the_counts(void)
{
    struct stage stage;
    set_stage(&stage);
    announce(&stage, 0, false);
    trt_sleep_notify(&stage.sleep);
    CHECK(trt_sleep_retract(&stage.sleep, 0, true)); /* from its rescan: no park */
    announce(&stage, 0, true);
    CHECK_EQ(trt_parker_park(&stage.parkers[0], TRT_FOREVER), TRT_PARK_NOTIFIED);
    check_counts(&stage, 0, 1);
    CHECK(trt_sleep_retract(&stage.sleep, 0, true));
    check_counts(&stage, 1, 0);
    trt_sleep_found(&stage.sleep);
    clear_stage(&stage);
}

/* --- workers and producers that are threads: see troupe.h */

static void
run_and_tell(struct troupe *t, unsigned worker, void *item)
{
    (void)t;
    (void)worker;
    trt_parker_unpark(item);
}

/* One item at a time; its producer sleeps until it has been run, and with an idle
 * worker each item finds everybody asleep or about to be. */
static void
play_ping_pong(unsigned number, void *shared)
{
    struct troupe *t = shared;
    if (number < t->workers) {
        troupe_work(t, number);
        return;
    }
    const unsigned producer = number - t->workers;
    trt_parker *parker = &t->waiting[producer];
    uint64_t random = check_random_start(number);
    for (uint64_t round = 0; round < rounds; round++) {
        troupe_push(t, producer, parker);
        trt_parker_park(parker, TRT_FOREVER);
        check_delay(&random, 100);
    }
    if (trt_fetch_add_acq_rel(&t->producers_done, 1) + 1 == t->producers) {
        troupe_stop(t);
    }
}

static void
check_ping_pong(unsigned workers, unsigned producers)
{
    for (int asymmetric = 0; asymmetric < 2; asymmetric++) {
        struct troupe t = {
            .workers = workers, .producers = producers, .run = run_and_tell};
        troupe_open(&t, asymmetric);
        check_run_threads(workers + producers, play_ping_pong, &t);
        CHECK_EQ(trt_load_relaxed(&t.items_run), producers * rounds);
        troupe_close(&t);
    }
}

static void
test_one_to_one(void)
{
    check_ping_pong(1, 1);
}

static void
test_many_to_one(void)
{
    check_ping_pong(1, 3);
}

static void
test_one_to_many_that_compete(void)
{
    check_ping_pong(3, 1);
}

/* An item that ends when all of its batch run. */
struct batch {
    _Atomic(unsigned) running;
    _Atomic(unsigned) ended;
    unsigned size;
};

static void
run_together(struct troupe *t, unsigned worker, void *item)
{
    (void)t;
    (void)worker;
    struct batch *batch = item;
    unsigned turns = 0;
    trt_fetch_add_acq_rel(&batch->running, 1);
    while (trt_load_acquire(&batch->running) < batch->size) {
        check_spin(&turns);
    }
    trt_fetch_add_acq_rel(&batch->ended, 1);
}

static void
play_batches(unsigned number, void *shared)
{
    struct troupe *t = shared;
    if (number < t->workers) {
        troupe_work(t, number);
        return;
    }
    uint64_t random = check_random_start(number);
    for (uint64_t round = 0; round < rounds / 10; round++) {
        struct batch batch = {.size = t->workers};
        for (unsigned i = 0; i < batch.size; i++) {
            troupe_push(t, 0, &batch);
            check_delay(&random, 200);
        }
        unsigned turns = 0;
        while (trt_load_acquire(&batch.ended) < batch.size) {
            check_spin(&turns);
        }
    }
    troupe_stop(t);
}

/* As many items as workers, and none ends before all run: nobody may sleep while there
 * is an item, whoever searched when it was pushed. */
static void
test_one_to_many_wakes_as_many_as_there_are_items(void)
{
    struct troupe t = {.workers = 4, .producers = 1, .run = run_together};
    troupe_open(&t, true);
    check_run_threads(5, play_batches, &t);
    CHECK_EQ(trt_load_relaxed(&t.items_run), rounds / 10 * 4);
    troupe_close(&t);
}

/* Producers all find the same worker asleep at the same moment. */
struct stampede {
    trt_sleep sleep;
    trt_parker parker;
    struct check_gate gate;
    uint64_t rounds;
};

static void
run_stampede(unsigned number, void *shared)
{
    struct stampede *s = shared;
    uint64_t random = check_random_start(number);
    for (uint64_t round = 0; round < s->rounds; round++) {
        if (number == 0) {
            trt_sleep_announce(&s->sleep, 0, &s->parker, false);
        }
        check_gate_pass(&s->gate);
        check_delay(&random, 20);
        if (number > 0) {
            trt_sleep_notify(&s->sleep);
        } else {
            /* Leaves by itself while they wake it, or waits to be woken. */
            if (check_random(&random, 2) == 0) {
                trt_parker_park(&s->parker, TRT_FOREVER);
            }
            if (trt_sleep_retract(&s->sleep, 0, check_random(&random, 2) == 0)) {
                CHECK_EQ(trt_sleep_searching(&s->sleep), 1);
                trt_sleep_found(&s->sleep);
            }
        }
        check_gate_pass(&s->gate);
        if (number == 0) {
            CHECK_EQ(trt_load_relaxed(&s->sleep.word), 0);
            trt_parker_take_token(&s->parker);
        }
        check_gate_pass(&s->gate);
    }
}

static void
test_stampede_wakes_one_sleeper_once(void)
{
    struct stampede s = {.gate = {.count = 4}, .rounds = rounds / 20};
    CHECK_EQ(trt_sleep_init(&s.sleep, 1), 0);
    trt_parker_init(&s.parker);
    check_run_threads(4, run_stampede, &s);
    trt_parker_destroy(&s.parker);
    trt_sleep_destroy(&s.sleep);
}

/* A push against a worker that falls asleep, lined up so that they meet. */
struct meeting {
    trt_sleep sleep;
    trt_parker parker;
    struct check_gate gate;
    TRT_LINE_GAP(item_gap);
    _Atomic(unsigned) item; /* the round that it was pushed in */
    TRT_LINE_GAP(missed_gap);
    unsigned rounds;
    unsigned missed; /* by the first thread */
};

static void
run_meetings(unsigned number, void *shared)
{
    struct meeting *m = shared;
    uint64_t random = check_random_start(number);
    for (unsigned round = 1; round <= m->rounds; round++) {
        check_gate_pass(&m->gate);
        check_delay(&random, 20);
        if (number == 1) {
            trt_store_release(&m->item, round);
            trt_sleep_notify(&m->sleep);
            check_gate_pass(&m->gate);
            continue;
        }
        trt_sleep_announce(&m->sleep, 0, &m->parker, false);
        const bool seen = trt_load_relaxed(&m->item) == round;
        check_gate_pass(&m->gate);
        if (trt_sleep_retract(&m->sleep, 0, false)) {
            trt_sleep_found(&m->sleep);
            trt_parker_take_token(&m->parker);
        } else if (!seen) {
            m->missed++;
        }
    }
}

static void
test_push_is_seen_or_sleeper_is_woken(void)
{
    for (int asymmetric = 0; asymmetric < 2; asymmetric++) {
        struct meeting m = {.gate = {.count = 2}, .rounds = (unsigned)rounds};
        CHECK_EQ(trt_sleep_init(&m.sleep, 1), 0);
        troupe_choose_barrier(asymmetric);
        trt_parker_init(&m.parker);
        check_run_threads(2, run_meetings, &m);
        CHECK_EQ(m.missed, 0);
        trt_parker_destroy(&m.parker);
        trt_sleep_destroy(&m.sleep);
    }
}

static void
run_a_little(struct troupe *t, unsigned worker, void *item)
{
    (void)t;
    (void)item;
    uint64_t random = check_random_start(worker);
    check_delay(&random, 50);
}

/* Everything at once: items for all, letters for one, sleeps that end by the clock. */
static void
play_stress(unsigned number, void *shared)
{
    struct troupe *t = shared;
    if (number < t->workers) {
        troupe_work(t, number);
        return;
    }
    const unsigned producer = number - t->workers;
    uint64_t random = check_random_start(number);
    for (uint64_t round = 0; round < rounds; round++) {
        if (check_random(&random, 4) == 0) {
            troupe_send_letter(t, check_random(&random, t->workers));
        } else {
            troupe_push(t, producer, t);
        }
        /* Mostly little work, so that workers fall asleep; now and then much. */
        if (round / 64 % 4 != 0) {
            check_delay(&random, 1000);
        }
    }
}

static void
check_stress(bool asymmetric)
{
    struct troupe t = {.workers = 3, .producers = 2, .run = run_a_little};
    struct check_thread threads[CHECK_MOST_THREADS];
    t.restless = true;
    troupe_open(&t, asymmetric);
    check_start_threads(threads, 5, play_stress, &t);
    check_join_threads(threads + 3, 2);
    /* Nobody pushes any more: what is left must be run by those that are awake. */
    unsigned turns = 0;
    while (trt_load_acquire(&t.items_run) < trt_load_relaxed(&t.items_pushed) ||
           trt_load_acquire(&t.letters_read) < trt_load_relaxed(&t.letters_sent)) {
        check_spin(&turns);
    }
    troupe_stop(&t);
    check_join_threads(threads, 3);
    CHECK_EQ(trt_load_relaxed(&t.items_run), trt_load_relaxed(&t.items_pushed));
    CHECK_EQ(trt_load_relaxed(&t.letters_read), trt_load_relaxed(&t.letters_sent));
    troupe_close(&t);
}

static void
test_stress(void)
{
    check_stress(false);
    check_stress(true);
}

static void
test_destruction_right_after_shutdown(void)
{
    for (int i = 0; i < 200 / CHECK_SLOWNESS; i++) {
        struct troupe t = {.workers = 4, .producers = 1, .run = run_a_little};
        struct check_thread threads[CHECK_MOST_THREADS];
        troupe_open(&t, true);
        check_start_threads(threads, 4, play_stress, &t);
        for (int item = 0; item < i % 3; item++) {
            troupe_push(&t, 0, &t);
        }
        troupe_stop(&t); /* in any state: starting, searching, running, asleep */
        check_join_threads(threads, 4);
        CHECK_EQ(trt_load_relaxed(&t.items_run), i % 3);
        troupe_close(&t);
    }
}

static void
test_sizes(void)
{
    trt_sleep sleep;
    trt_parker parker;
    trt_parker_init(&parker);
    const size_t sizes[] = {1, 2, TRT_SLEEP_MAX_WORKERS};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK_EQ(trt_sleep_init(&sleep, sizes[i]), 0);
        for (size_t id = 0; id < sizes[i]; id++) {
            trt_sleep_announce(&sleep, id, &parker, false);
        }
        CHECK_EQ(trt_sleep_sleeping(&sleep), sizes[i]);
        CHECK_EQ(trt_sleep_searching(&sleep), 0);
        for (size_t id = sizes[i]; id-- > 0;) {
            CHECK(trt_sleep_retract(&sleep, id, true));
        }
        CHECK_EQ(trt_sleep_sleeping(&sleep), 0);
        CHECK_EQ(trt_sleep_searching(&sleep), sizes[i]);
        for (size_t id = 0; id < sizes[i]; id++) {
            trt_sleep_found(&sleep);
        }
        trt_sleep_destroy(&sleep);
    }
    trt_parker_destroy(&parker);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    if (argc > 2) {
        rounds = strtoull(argv[2], NULL, 10);
        alarm(0); /* as long as it takes; who asks for more rounds watches */
    }
    RUN(test_smoke);
    RUN(test_empty_has_nobody_to_wake);
    RUN(test_one_may_search_and_more_up_to_half_of_the_awake);
    RUN(test_nobody_is_woken_while_somebody_searches);
    RUN(test_last_searcher_that_stops_wakes_the_next);
    RUN(test_searcher_that_falls_asleep_wakes_nobody);
    RUN(test_most_recent_sleeper_is_woken_first);
    RUN(test_worker_that_leaves_by_itself_is_never_woken);
    RUN(test_worker_that_a_waker_counted_stays_counted);
    RUN(test_token_of_a_past_wake_up_does_not_change_the_counts);
    RUN(test_sizes);
    RUN(test_one_to_one);
    RUN(test_many_to_one);
    RUN(test_one_to_many_that_compete);
    RUN(test_one_to_many_wakes_as_many_as_there_are_items);
    RUN(test_stampede_wakes_one_sleeper_once);
    RUN(test_push_is_seen_or_sleeper_is_woken);
    RUN(test_stress);
    RUN(test_destruction_right_after_shutdown);
    return check_end();
}
