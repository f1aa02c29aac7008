/* Permits are neither lost nor made, and nobody waits for one that is there. */
#include "sleeper.h"

#include "sync/semaphore.h"

struct race {
    trt_semaphore semaphore;
    uint64_t permits;
    struct dormitory guests;
    struct check_gate gate;
    size_t rounds;
    size_t counter; /* plain: under a semaphore of one permit */
    bool patient;   /* nobody leaves */
    _Atomic(uint64_t) inside;
    _Atomic(size_t) entered, abandoned, passed_on;
};

enum outcome { ENTERED, LEFT, PASSED_ON };

static enum outcome
acquire(trt_semaphore *s, struct sleeper *sleeper, bool patient, uint64_t *random)
{
    trt_wait_node node;
    trt_wait_node_init(&node, &sleeper->waiter, NULL);
    if (check_random(random, 2) == 0 && trt_semaphore_try_acquire(s)) {
        return ENTERED;
    }
    for (;;) {
        sleeper_begin(sleeper);
        if (trt_semaphore_acquire_or_queue(s, &node)) {
            sleeper_end(sleeper);
            return ENTERED;
        }
        if (!sleeper_wait(sleeper, patient ? TRT_FOREVER : sleeper_patience(random))) {
            trt_semaphore_leave(s, &node);
            CHECK(!node.served);
            return LEFT;
        }
        CHECK(node.served);
        if (node.value != NULL) {
            return ENTERED;
        }
        if (!patient && check_random(random, 16) == 0) {
            trt_semaphore_pass_on(s);
            return PASSED_ON;
        }
        node.lost = true;
    }
}

static void
stay_inside(struct race *race, uint64_t *random)
{
    CHECK(trt_fetch_add_relaxed(&race->inside, 1) < race->permits);
    if (race->permits == 1) {
        race->counter++;
    }
    check_delay(random, 50);
    if (check_random(random, 16) == 0) {
        trt_thread_yield();
    }
    trt_fetch_sub_relaxed(&race->inside, 1);
}

static void
take_part(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number);
    size_t outcomes[3] = {0};
    check_gate_pass(&race->gate);
    if (number == race->guests.count) {
        dormitory_disturb(&race->guests, &random);
        return;
    }
    for (size_t i = 0; i < race->rounds; i++) {
        const enum outcome outcome = acquire(
            &race->semaphore, &race->guests.beds[number], race->patient, &random);
        outcomes[outcome]++;
        if (outcome == ENTERED) {
            stay_inside(race, &random);
            CHECK(trt_semaphore_release(&race->semaphore));
        }
    }
    dormitory_leave(&race->guests);
    trt_fetch_add_relaxed(&race->entered, outcomes[ENTERED]);
    trt_fetch_add_relaxed(&race->abandoned, outcomes[LEFT]);
    trt_fetch_add_relaxed(&race->passed_on, outcomes[PASSED_ON]);
}

static void
check_race(unsigned guests, uint64_t permits, bool patient, size_t rounds)
{
    struct race race = {.permits = permits,
                        .gate = {.count = guests + !patient},
                        .rounds = rounds,
                        .patient = patient};
    trt_semaphore_init(&race.semaphore, permits, permits);
    dormitory_open(&race.guests, guests);
    check_run_threads(guests + !patient, take_part, &race);
    const size_t entered = trt_load_relaxed(&race.entered);
    const size_t abandoned = trt_load_relaxed(&race.abandoned);
    const size_t passed_on = trt_load_relaxed(&race.passed_on);
    printf("  %u guests, %zu entered, %zu abandoned, %zu passed on\n", guests, entered,
           abandoned, passed_on);
    CHECK_EQ(entered + abandoned + passed_on, guests * rounds);
    CHECK(!patient || entered == guests * rounds);
    CHECK_EQ(race.counter, permits == 1 ? entered : 0);
    CHECK_EQ(trt_load_relaxed(&race.semaphore.word), permits * TRT_SEMAPHORE_ONE);
    dormitory_close(&race.guests);
    trt_semaphore_destroy(&race.semaphore);
}

/* Without timeouts a lost wake-up is a hang. */
static void
test_one_to_one(void)
{
    check_race(2, 1, true, 50000 / CHECK_SLOWNESS);
}

static void
test_stampede(void)
{
    check_race(8, 1, true, 5000 / CHECK_SLOWNESS);
    check_race(8, 3, true, 5000 / CHECK_SLOWNESS);
}

static void
test_stress(void)
{
    for (unsigned guests = 2; guests <= 8; guests *= 2) {
        const size_t rounds = 40000 / guests / CHECK_SLOWNESS;
        check_race(guests, 1, false, rounds);
        check_race(guests, guests / 2, false, rounds);
    }
}

/* Some only give permits, others only take them. */
struct trade {
    trt_semaphore semaphore;
    struct dormitory takers;
    size_t each; /* permits of each giver and taker */
};

static void
give_or_take(unsigned number, void *shared)
{
    struct trade *trade = shared;
    uint64_t random = check_random_start(number);
    for (size_t i = 0; i < trade->each; i++) {
        if (number >= trade->takers.count) {
            CHECK(trt_semaphore_release(&trade->semaphore));
            check_delay(&random, 100);
            continue;
        }
        CHECK_EQ(acquire(&trade->semaphore, &trade->takers.beds[number], true, &random),
                 ENTERED);
    }
}

static void
test_what_is_given_is_taken(void)
{
    for (unsigned pairs = 1; pairs <= 4; pairs *= 2) {
        struct trade trade = {.each = 20000 / pairs / CHECK_SLOWNESS};
        trt_semaphore_init(&trade.semaphore, 0, TRT_SEMAPHORE_MAX);
        dormitory_open(&trade.takers, pairs);
        check_run_threads(2 * pairs, give_or_take, &trade);
        CHECK_EQ(trt_load_relaxed(&trade.semaphore.word), 0);
        dormitory_close(&trade.takers);
        trt_semaphore_destroy(&trade.semaphore);
    }
}

/* All give back as many as they can, whether they had them or not. */
struct flood {
    trt_semaphore semaphore;
    struct check_gate gate;
    size_t rounds;
    uint64_t most;
    _Atomic(size_t) given, taken;
};

static void
overflow(unsigned number, void *shared)
{
    struct flood *flood = shared;
    uint64_t random = check_random_start(number);
    size_t given = 0, taken = 0;
    check_gate_pass(&flood->gate);
    for (size_t i = 0; i < flood->rounds; i++) {
        if (check_random(&random, 3) > 0) {
            given += trt_semaphore_release(&flood->semaphore);
        } else {
            taken += trt_semaphore_try_acquire(&flood->semaphore);
        }
        CHECK(trt_semaphore_permits(&flood->semaphore) <= flood->most);
    }
    trt_fetch_add_relaxed(&flood->given, given);
    trt_fetch_add_relaxed(&flood->taken, taken);
}

static void
test_there_are_never_more_permits_than_there_may_be(void)
{
    for (unsigned threads = 2; threads <= 8; threads *= 2) {
        struct flood flood = {.gate = {.count = threads},
                              .rounds = 200000 / threads / CHECK_SLOWNESS,
                              .most = threads / 2};
        trt_semaphore_init(&flood.semaphore, 0, flood.most);
        check_run_threads(threads, overflow, &flood);
        CHECK_EQ(trt_load_relaxed(&flood.given) - trt_load_relaxed(&flood.taken),
                 trt_semaphore_permits(&flood.semaphore));
        trt_semaphore_destroy(&flood.semaphore);
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_one_to_one);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_what_is_given_is_taken);
    RUN(test_there_are_never_more_permits_than_there_may_be);
    return check_end();
}
