/* Who waits for an event goes on when it is set; one that resets itself lets one go on
 * each time. */
#include "sleeper.h"

#include "sync/event.h"

/* Whether it was set; otherwise the guest is queued. */
static bool
come(trt_event *e, struct guest *g)
{
    guest_begin(g);
    const bool was_set = trt_event_try_or_queue(e, &g->node);
    CHECK_EQ(g->node.queued, !was_set);
    if (was_set) {
        sleeper_end(&g->sleeper);
    }
    return was_set;
}

static void
test_smoke(void)
{
    trt_event e;
    trt_event_init(&e, false);
    CHECK(!trt_event_is_set(&e));
    CHECK(!trt_event_try(&e));
    CHECK(trt_event_set(&e));
    CHECK(!trt_event_set(&e)); /* it was */
    CHECK(trt_event_is_set(&e));
    CHECK(trt_event_try(&e));
    CHECK(trt_event_try(&e)); /* it stays */
    trt_event_clear(&e);
    CHECK(!trt_event_is_set(&e));
    trt_event_clear(&e);
    CHECK(trt_event_set(&e));
    trt_event_destroy(&e);
}

static void
test_autoreset_is_taken_by_one(void)
{
    trt_event e;
    trt_event_init(&e, true);
    CHECK(!trt_event_try(&e));
    CHECK(trt_event_set(&e));
    CHECK_EQ(trt_event_set(&e), TRT_EVENT_WAS_SET); /* the two count as one */
    CHECK(trt_event_is_set(&e));
    CHECK(trt_event_is_set(&e)); /* looking takes nothing */
    CHECK(trt_event_try(&e));
    CHECK(!trt_event_try(&e));
    CHECK(trt_event_set(&e));
    trt_event_clear(&e);
    CHECK(!trt_event_try(&e));
    trt_event_destroy(&e);
}

static void
test_set_wakes_all_that_wait(void)
{
    enum { COUNT = 4 };
    trt_event e;
    struct guest guests[COUNT];
    guests_init(guests, COUNT);
    trt_event_init(&e, false);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(!come(&e, &guests[i]));
        }
        guest_abandon(&guests[1]);
        if (round == 0) {
            trt_event_leave(&e, &guests[1].node);
        }
        CHECK_EQ(trt_event_set(&e), TRT_EVENT_WOKE);
        for (size_t i = 0; i < COUNT; i++) {
            CHECK_EQ(sleeper_is_woken(&guests[i].sleeper), i != 1);
            CHECK(i == 1 || guest_goes_on(&guests[i]));
        }
        trt_event_leave(&e, &guests[1].node); /* it is out */
        CHECK(come(&e, &guests[0]));
        CHECK(come(&e, &guests[1]));
        trt_event_clear(&e);
    }
    trt_event_destroy(&e);
    guests_destroy(guests, COUNT);
}

static void
test_autoreset_wakes_one_a_set_in_the_order_of_arrival(void)
{
    enum { COUNT = 4 };
    trt_event e;
    struct guest guests[COUNT];
    guests_init(guests, COUNT);
    trt_event_init(&e, true);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(!come(&e, &guests[i]));
    }
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_EQ(trt_event_set(&e), TRT_EVENT_WOKE);
        CHECK(!trt_event_is_set(&e)); /* nobody else can take it */
        for (size_t other = i; other < COUNT; other++) {
            CHECK_EQ(guest_goes_on(&guests[other]), other == i);
        }
    }
    CHECK_EQ(trt_event_set(&e), TRT_EVENT_SET); /* nobody waits: for the next to come */
    CHECK(trt_event_is_set(&e));
    CHECK(come(&e, &guests[0]));
    CHECK(!come(&e, &guests[1]));
    CHECK(trt_event_set(&e));
    CHECK(guest_goes_on(&guests[1]));
    trt_event_destroy(&e);
    guests_destroy(guests, COUNT);
}

static void
test_autoreset_goes_past_who_was_abandoned(void)
{
    for (int left_first = 0; left_first < 2; left_first++) {
        trt_event e;
        struct guest guests[2];
        guests_init(guests, 2);
        trt_event_init(&e, true);
        CHECK(!come(&e, &guests[0]));
        CHECK(!come(&e, &guests[1]));
        guest_abandon(&guests[0]);
        if (left_first) {
            trt_event_leave(&e, &guests[0].node);
        }
        CHECK(trt_event_set(&e));
        CHECK(guest_goes_on(&guests[1]));
        CHECK(!trt_event_is_set(&e));
        trt_event_leave(&e, &guests[0].node);
        CHECK(!guests[0].node.served);
        CHECK(!come(&e, &guests[0]));
        guest_abandon(&guests[0]);
        CHECK(trt_event_set(&e)); /* nobody is left: it stays set */
        trt_event_leave(&e, &guests[0].node);
        CHECK(trt_event_try(&e));
        trt_event_destroy(&e);
        guests_destroy(guests, 2);
    }
}

static void
test_clear_wakes_nobody(void)
{
    for (int autoreset = 0; autoreset < 2; autoreset++) {
        trt_event e;
        struct guest guest;
        guests_init(&guest, 1);
        trt_event_init(&e, autoreset);
        CHECK(!come(&e, &guest));
        trt_event_clear(&e);
        CHECK(!guest_goes_on(&guest));
        CHECK(trt_event_set(&e));
        CHECK(guest_goes_on(&guest));
        trt_event_destroy(&e);
        guests_destroy(&guest, 1);
    }
}

/* ---- threads --------------------------------------------------------------------- */

struct race {
    trt_event event;
    struct dormitory guests;
    struct check_gate gate;
    size_t rounds;
    size_t value; /* plain: written before a set, or by who has the event */
    bool impatient;
    _Atomic(size_t) come, sets, taken, abandoned;
};

static bool
wait_for(trt_event *e, struct sleeper *sleeper, uint64_t deadline_ns)
{
    trt_wait_node node;
    trt_wait_node_init(&node, &sleeper->waiter, NULL);
    sleeper_begin(sleeper);
    if (trt_event_try_or_queue(e, &node)) {
        sleeper_end(sleeper);
        return true;
    }
    if (sleeper_wait(sleeper, deadline_ns)) {
        CHECK(node.served);
        return true;
    }
    trt_event_leave(e, &node);
    CHECK(!node.served);
    return false;
}

static void
prepare(struct race *race, bool autoreset, unsigned guests, unsigned others)
{
    trt_event_init(&race->event, autoreset);
    dormitory_open(&race->guests, guests);
    race->gate.count = guests + others;
}

static void
finish(struct race *race)
{
    dormitory_close(&race->guests);
    trt_event_destroy(&race->event);
}

/* One sets it just when the other comes. */
static void
set_or_come(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number);
    for (size_t round = 1; round <= race->rounds; round++) {
        check_gate_pass(&race->gate);
        check_delay(&random, 30);
        if (number == 0) {
            CHECK(wait_for(&race->event, &race->guests.beds[0], TRT_FOREVER));
            CHECK_EQ(race->value, round);
        } else {
            race->value = round;
            CHECK(trt_event_set(&race->event));
        }
        check_gate_pass(&race->gate);
        if (number == 0) {
            trt_event_clear(&race->event);
        }
    }
}

static void
test_one_to_one(void)
{
    for (int autoreset = 0; autoreset < 2; autoreset++) {
        struct race race = {.rounds = 20000 / CHECK_SLOWNESS};
        prepare(&race, autoreset, 1, 1);
        check_run_threads(2, set_or_come, &race);
        finish(&race);
    }
}

/* All guests meet at the event, round for round; the last thread sets it. */
static void
meet(unsigned number, void *shared)
{
    struct race *race = shared;
    struct sleeper *sleeper = &race->guests.beds[number];
    uint64_t random = check_random_start(number);
    for (size_t round = 1; round <= race->rounds; round++) {
        check_gate_pass(&race->gate);
        if (number == race->guests.count) {
            /* Before any has come, after the last, or in between. */
            const uint64_t first = check_random(&random, race->guests.count + 1);
            unsigned turns = 0;
            while (trt_load_relaxed(&race->come) < (round - 1) * number + first) {
                check_spin(&turns);
            }
            check_delay(&random, 300);
            race->value = round;
            CHECK(trt_event_set(&race->event));
        } else {
            check_delay(&random, 300);
            trt_fetch_add_relaxed(&race->come, 1);
            while (!wait_for(&race->event, sleeper, sleeper_patience(&random))) {
                trt_fetch_add_relaxed(&race->abandoned, 1);
            }
            CHECK(trt_event_is_set(&race->event));
            CHECK_EQ(race->value, round);
        }
        check_gate_pass(&race->gate);
        if (number == 0) {
            trt_event_clear(&race->event);
        }
    }
}

static void
test_one_to_many(void)
{
    for (unsigned guests = 1; guests <= 7; guests += 3) {
        struct race race = {.rounds = 4000 / guests / CHECK_SLOWNESS};
        prepare(&race, false, guests, 1);
        check_run_threads(guests + 1, meet, &race);
        printf("  %u guests, %zu abandoned\n", guests,
               trt_load_relaxed(&race.abandoned));
        finish(&race);
    }
}

/* Guests, then those who set it for as long as there are any, then one who cancels. */
static void
set_or_take(unsigned number, void *shared)
{
    struct race *race = shared;
    struct sleeper *sleeper = &race->guests.beds[number];
    uint64_t random = check_random_start(number);
    size_t sets = 0, taken = 0;
    check_gate_pass(&race->gate);
    if (number + 1 == race->gate.count) {
        dormitory_disturb(&race->guests, &random);
    } else if (number >= race->guests.count) {
        while (dormitory_is_busy(&race->guests)) {
            sets += trt_event_set(&race->event) != TRT_EVENT_WAS_SET;
            check_delay(&random, 200);
            if (check_random(&random, 8) == 0) {
                trt_thread_yield();
            }
        }
    } else {
        for (size_t i = 0; i < race->rounds; i++) {
            taken += check_random(&random, 4) == 0
                         ? trt_event_try(&race->event)
                         : wait_for(&race->event, sleeper, sleeper_patience(&random));
        }
        dormitory_leave(&race->guests);
    }
    trt_fetch_add_relaxed(&race->sets, sets);
    trt_fetch_add_relaxed(&race->taken, taken);
}

static void
test_stress_of_autoreset(void)
{
    for (unsigned pairs = 1; pairs <= 4; pairs *= 2) {
        struct race race = {.rounds = 20000 / pairs / CHECK_SLOWNESS};
        prepare(&race, true, pairs, pairs + 1);
        check_run_threads(2 * pairs + 1, set_or_take, &race);
        const size_t sets = trt_load_relaxed(&race.sets);
        const size_t taken = trt_load_relaxed(&race.taken);
        printf("  %zu taken of %zu\n", taken, pairs * race.rounds);
        CHECK_EQ(taken + trt_event_try(&race.event), sets);
        finish(&race);
    }
}

/* Nobody waits: some set it and look for it, the others only look. */
static void
snatch(unsigned number, void *shared)
{
    struct race *race = shared;
    size_t sets = 0, taken = 0;
    check_gate_pass(&race->gate);
    if (number < race->guests.count) {
        for (size_t i = 0; i < race->rounds; i++) {
            sets += trt_event_set(&race->event) != TRT_EVENT_WAS_SET;
            taken += trt_event_try(&race->event);
        }
        dormitory_leave(&race->guests);
    }
    while (dormitory_is_busy(&race->guests)) {
        taken += trt_event_try(&race->event);
    }
    trt_fetch_add_relaxed(&race->sets, sets);
    trt_fetch_add_relaxed(&race->taken, taken);
}

static void
test_each_set_is_taken_by_one(void)
{
    for (unsigned pairs = 1; pairs <= 4; pairs *= 2) {
        struct race race = {.rounds = 200000 / pairs / CHECK_SLOWNESS};
        prepare(&race, true, pairs, pairs);
        check_run_threads(2 * pairs, snatch, &race);
        CHECK_EQ(trt_load_relaxed(&race.taken) + trt_event_try(&race.event),
                 trt_load_relaxed(&race.sets));
        finish(&race);
    }
}

/* An event that resets itself is a lock: whoever has taken it is alone. */
static void
exclude(unsigned number, void *shared)
{
    struct race *race = shared;
    struct sleeper *sleeper = &race->guests.beds[number];
    uint64_t random = check_random_start(number);
    size_t taken = 0;
    check_gate_pass(&race->gate);
    if (number == race->guests.count) {
        dormitory_disturb(&race->guests, &random);
        return;
    }
    for (size_t i = 0; i < race->rounds; i++) {
        if (wait_for(&race->event, sleeper,
                     race->impatient ? sleeper_patience(&random) : TRT_FOREVER)) {
            taken++;
            race->value++;
            check_delay(&random, 50);
            CHECK(trt_event_set(&race->event));
        }
    }
    dormitory_leave(&race->guests);
    trt_fetch_add_relaxed(&race->taken, taken);
}

static void
test_autoreset_excludes(void)
{
    for (unsigned guests = 2; guests <= 8; guests *= 2) {
        for (int impatient = 0; impatient < 2; impatient++) {
            struct race race = {.rounds = 20000 / guests / CHECK_SLOWNESS,
                                .impatient = impatient};
            prepare(&race, true, guests, impatient);
            CHECK(trt_event_set(&race.event));
            check_run_threads(guests + impatient, exclude, &race);
            CHECK_EQ(race.value, trt_load_relaxed(&race.taken));
            CHECK(impatient || race.value == guests * race.rounds);
            CHECK(trt_event_is_set(&race.event));
            finish(&race);
        }
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_autoreset_is_taken_by_one);
    RUN(test_set_wakes_all_that_wait);
    RUN(test_autoreset_wakes_one_a_set_in_the_order_of_arrival);
    RUN(test_autoreset_goes_past_who_was_abandoned);
    RUN(test_clear_wakes_nobody);
    RUN(test_one_to_one);
    RUN(test_one_to_many);
    RUN(test_each_set_is_taken_by_one);
    RUN(test_stress_of_autoreset);
    RUN(test_autoreset_excludes);
    return check_end();
}
