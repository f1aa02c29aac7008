/* Each waiter is fired once or abandoned once, and its memory is freed once. */
#include "check.h"

#include "task/waiters.h"

/* A waiter that notes when it is fired. Its memory is what malloc gave, so double frees
 * and leaks show in the build with AddressSanitizer. */
struct note {
    trt_waiter base;
    size_t number;
    struct log *log;
    _Atomic(bool) delivered; /* by wake, as its last step */
};

struct log {
    size_t fired[64];
    _Atomic(size_t) count;
};

static void
write_down(trt_waiter *w)
{
    struct note *note = (struct note *)w;
    const size_t index = trt_fetch_add_relaxed(&note->log->count, 1);
    if (index < 64) {
        note->log->fired[index] = note->number;
    }
    trt_store_release(&note->delivered, true);
}

static struct note *
new_note(struct log *log, size_t number)
{
    struct note *note = malloc(sizeof *note);
    CHECK(note != NULL);
    trt_waiter_init(&note->base, write_down);
    note->number = number;
    note->log = log;
    atomic_init(&note->delivered, false);
    return note;
}

static struct note *
add_note(trt_waiters *list, struct log *log, size_t number)
{
    struct note *note = new_note(log, number);
    CHECK(trt_waiters_add(list, &note->base));
    return note;
}

static void
close_and_fire(trt_waiters *list)
{
    trt_waiters_fire(trt_waiters_close(list));
}

static void
test_smoke(void)
{
    enum { COUNT = 5 };
    trt_waiters list;
    struct log log = {.count = 0};
    struct note *notes[COUNT];
    trt_waiters_init(&list);
    for (size_t i = 0; i < COUNT; i++) {
        notes[i] = add_note(&list, &log, i);
    }
    CHECK(!trt_waiters_is_closed(&list));
    close_and_fire(&list);
    CHECK(trt_waiters_is_closed(&list));
    CHECK_EQ(trt_load_relaxed(&log.count), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_EQ(log.fired[i], i); /* the oldest first */
        CHECK_EQ(trt_load_relaxed(&notes[i]->base.decision), TRT_WAITER_FIRED);
        CHECK(!trt_waiter_abandon(&notes[i]->base));
        CHECK(!trt_waiters_remove(&list, &notes[i]->base));
        free(notes[i]);
    }
}

static void
test_empty(void)
{
    static trt_waiters list; /* zeroed is initialised too */
    CHECK(trt_waiters_close(&list) == NULL);
    trt_waiters_fire(NULL);
}

static void
test_closed_list_takes_nobody(void)
{
    trt_waiters list;
    struct log log = {.count = 0};
    trt_waiters_init(&list);
    close_and_fire(&list);
    struct note *note = new_note(&log, 0);
    CHECK(!trt_waiters_add(&list, &note->base));
    CHECK_EQ(trt_load_relaxed(&note->base.decision), TRT_WAITER_WAITING);
    free(note);
    CHECK_EQ(trt_load_relaxed(&log.count), 0);
}

static void
test_removed_waiter_is_not_fired_and_the_rest_keep_their_order(void)
{
    enum { COUNT = 6 };
    trt_waiters list;
    struct log log = {.count = 0};
    struct note *notes[COUNT];
    const size_t left[] = {1, 2, 4};
    trt_waiters_init(&list);
    for (size_t i = 0; i < COUNT; i++) {
        notes[i] = add_note(&list, &log, i);
    }
    CHECK(trt_waiters_remove(&list, &notes[3]->base)); /* from within, */
    CHECK(trt_waiters_remove(&list, &notes[0]->base)); /* the oldest, */
    CHECK(trt_waiters_remove(&list, &notes[5]->base)); /* the newest */
    close_and_fire(&list);
    CHECK_EQ(trt_load_relaxed(&log.count), 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(log.fired[i], left[i]);
        free(notes[left[i]]);
    }
}

static void
test_all_waiters_may_be_removed(void)
{
    trt_waiters list;
    struct log log = {.count = 0};
    trt_waiters_init(&list);
    for (size_t i = 0; i < 3; i++) {
        struct note *note = add_note(&list, &log, i);
        CHECK(trt_waiters_remove(&list, &note->base));
        CHECK(trt_load_relaxed(&list.newest) == NULL); /* it does not stay behind */
    }
    close_and_fire(&list);
    CHECK_EQ(trt_load_relaxed(&log.count), 0);
}

/* Abandoned by another thread than the one that waits, which may use it on. */
static void
test_abandoned_waiter_stays_until_released(void)
{
    for (int closed_first = 0; closed_first < 2; closed_first++) {
        trt_waiters list;
        struct log log = {.count = 0};
        trt_waiters_init(&list);
        struct note *note = add_note(&list, &log, 7);
        struct note *other = add_note(&list, &log, 8);
        CHECK(trt_waiter_abandon(&note->base));
        CHECK(!trt_waiter_abandon(&note->base));
        if (closed_first) {
            close_and_fire(&list);
        }
        CHECK_EQ(note->number, 7);
        trt_waiters_release(&list, &note->base);
        if (!closed_first) {
            close_and_fire(&list);
        }
        CHECK_EQ(trt_load_relaxed(&log.count), 1);
        CHECK_EQ(log.fired[0], 8);
        free(other);
    }
}

struct race {
    trt_waiters list;
    struct log log;
    struct check_gate gate;
    size_t rounds;
    size_t waiters; /* added by each waiting thread in each round */
    size_t result;  /* plain: written before the close */
    _Atomic(size_t) fired;
    _Atomic(size_t) abandoned;
    _Atomic(size_t) refused;
};

/* Wait for the delivery of a fired waiter and free it. */
static void
receive(struct race *race, struct note *note, size_t round)
{
    unsigned turns = 0;
    while (!trt_load_acquire(&note->delivered)) {
        check_spin(&turns);
    }
    CHECK_EQ(race->result, round + 1);
    trt_fetch_add_relaxed(&race->fired, 1);
    free(note);
}

static void
wait_in_round(struct race *race, size_t round, uint64_t *random)
{
    struct note *notes[8];
    for (size_t i = 0; i < race->waiters; i++) {
        notes[i] = new_note(&race->log, i);
        check_delay(random, 20);
        if (!trt_waiters_add(&race->list, &notes[i]->base)) {
            CHECK_EQ(race->result, round + 1); /* what was before the close */
            trt_fetch_add_relaxed(&race->refused, 1);
            free(notes[i]);
            notes[i] = NULL;
        }
    }
    for (size_t i = 0; i < race->waiters; i++) {
        if (notes[i] == NULL) {
            continue;
        }
        if (check_random(random, 2) == 0 &&
            trt_waiters_remove(&race->list, &notes[i]->base)) {
            trt_fetch_add_relaxed(&race->abandoned, 1);
        } else {
            receive(race, notes[i], round);
        }
    }
}

/* Thread 0 finishes, the others wait for it and lose patience. */
static void
finish_or_wait(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number);
    for (size_t round = 0; round < race->rounds; round++) {
        if (number == 0) {
            trt_waiters_init(&race->list);
        }
        check_gate_pass(&race->gate);
        if (number == 0) {
            check_delay(&random, 500);
            race->result = round + 1;
            close_and_fire(&race->list);
        } else {
            wait_in_round(race, round, &random);
        }
        check_gate_pass(&race->gate);
    }
}

static void
check_race(unsigned threads, size_t waiters, size_t rounds)
{
    struct race race = {.rounds = rounds, .waiters = waiters};
    race.gate.count = threads + 1;
    check_run_threads(threads + 1, finish_or_wait, &race);
    const size_t fired = trt_load_relaxed(&race.fired);
    const size_t abandoned = trt_load_relaxed(&race.abandoned);
    const size_t refused = trt_load_relaxed(&race.refused);
    printf("  %zu fired, %zu abandoned, %zu refused\n", fired, abandoned, refused);
    CHECK_EQ(fired + abandoned + refused, threads * waiters * rounds);
    CHECK_EQ(trt_load_relaxed(&race.log.count), fired);
}

static void
test_one_to_one(void)
{
    check_race(1, 1, 10000 / CHECK_SLOWNESS);
}

static void
test_one_to_many(void)
{
    check_race(1, 8, 5000 / CHECK_SLOWNESS);
}

static void
test_stampede(void)
{
    check_race(7, 1, 2000 / CHECK_SLOWNESS);
}

static void
test_stress(void)
{
    check_race(4, 8, 4000 / CHECK_SLOWNESS);
}

/* A third thread decides, as cancellation does, while the task may finish: the one that
 * waits must find its waiter alive until it lets go of it. */
struct triangle {
    trt_waiters list;
    struct log log;
    struct note *note;
    struct check_gate gate;
    size_t rounds;
    size_t abandoned; /* thread 0 only */
};

static void
wait_beside_a_canceller(struct triangle *t)
{
    trt_waiter *w = &t->note->base;
    unsigned turns = 0;
    uint32_t decision;
    while ((decision = trt_load_acquire(&w->decision)) == TRT_WAITER_WAITING) {
        check_spin(&turns);
    }
    CHECK_EQ(t->note->number, 5);
    if (decision == TRT_WAITER_FIRED) {
        while (!trt_load_acquire(&t->note->delivered)) {
            check_spin(&turns);
        }
        check_gate_pass(&t->gate); /* the canceller has looked at it too */
        free(t->note);
        return;
    }
    check_gate_pass(&t->gate);
    t->abandoned++;
    trt_waiters_release(&t->list, w);
}

static void
take_a_corner(unsigned number, void *shared)
{
    struct triangle *t = shared;
    uint64_t random = check_random_start(number);
    for (size_t round = 0; round < t->rounds; round++) {
        if (number == 0) {
            trt_waiters_init(&t->list);
            t->note = add_note(&t->list, &t->log, 5);
        }
        check_gate_pass(&t->gate);
        check_delay(&random, 100);
        if (number == 0) {
            wait_beside_a_canceller(t);
        } else {
            if (number == 1) {
                close_and_fire(&t->list);
            } else {
                trt_waiter_abandon(&t->note->base);
            }
            check_gate_pass(&t->gate);
        }
        check_gate_pass(&t->gate);
    }
}

static void
test_stress_with_a_canceller(void)
{
    struct triangle t = {.gate = {.count = 3}, .rounds = 20000 / CHECK_SLOWNESS};
    check_run_threads(3, take_a_corner, &t);
    printf("  %zu of %zu abandoned\n", t.abandoned, t.rounds);
    CHECK_EQ(trt_load_relaxed(&t.log.count) + t.abandoned, t.rounds);
}

static void
test_destruction_frees_released_waiters_at_the_close(void)
{
    trt_waiters list;
    struct log log = {.count = 0};
    trt_waiters_init(&list);
    struct note *kept = add_note(&list, &log, 1);
    struct note *released = add_note(&list, &log, 2);
    CHECK(trt_waiter_abandon(&released->base));
    trt_waiter *first = trt_waiters_close(&list); /* and then it is released */
    trt_waiters_release(&list, &released->base);
    trt_waiters_fire(first);
    CHECK_EQ(trt_load_relaxed(&log.count), 1);
    free(kept);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_closed_list_takes_nobody);
    RUN(test_removed_waiter_is_not_fired_and_the_rest_keep_their_order);
    RUN(test_all_waiters_may_be_removed);
    RUN(test_abandoned_waiter_stays_until_released);
    RUN(test_one_to_one);
    RUN(test_one_to_many);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_stress_with_a_canceller);
    RUN(test_destruction_frees_released_waiters_at_the_close);
    return check_end();
}
