/* Permits are neither lost nor made, nobody waits for one that is there, and
 * who has lost one to a newcomer gets the next. */
#include "sleeper.h"

#include "sync/semaphore.h"

/* Where somebody is who wants a permit. */
enum place {
    OUTSIDE,
    QUEUED,
    ABANDONED, /* and still in the queue */
    WOKEN,     /* without a permit */
    INSIDE,    /* has a permit */
};

struct visitor {
    struct sleeper sleeper;
    trt_wait_node node;
    enum place place;
    size_t ahead; /* that may get a permit before this one, which has lost */
};

static void
visitors_init(struct visitor *guests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sleeper_init(&guests[i].sleeper);
        guests[i].place = OUTSIDE;
    }
}

static void
visitors_destroy(struct visitor *guests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sleeper_destroy(&guests[i].sleeper);
    }
}

/* Take a permit or queue, for the first time or again. */
static void
come(trt_semaphore *s, struct visitor *g)
{
    sleeper_begin(&g->sleeper);
    if (g->place == OUTSIDE) {
        trt_wait_node_init(&g->node, &g->sleeper.waiter, g); /* it has to go */
    } else {
        CHECK_EQ(g->place, WOKEN);
        g->node.lost = true;
    }
    if (trt_semaphore_acquire_or_queue(s, &g->node)) {
        sleeper_end(&g->sleeper);
        g->place = INSIDE;
    } else {
        g->place = QUEUED;
    }
}

static void
abandon(struct visitor *g)
{
    CHECK_EQ(g->place, QUEUED);
    CHECK(sleeper_cancel(&g->sleeper));
    sleeper_end(&g->sleeper);
    g->place = ABANDONED;
}

static void
leave(trt_semaphore *s, struct visitor *g)
{
    CHECK_EQ(g->place, ABANDONED);
    trt_semaphore_leave(s, &g->node);
    CHECK(!g->node.queued && !g->node.served && !sleeper_is_woken(&g->sleeper));
    g->place = OUTSIDE;
}

/* Where the guest is after what others did. */
static enum place
look_at(struct visitor *g)
{
    if (g->place == QUEUED && sleeper_is_woken(&g->sleeper)) {
        sleeper_end(&g->sleeper);
        CHECK(g->node.served && !g->node.queued);
        g->place = g->node.value != NULL ? INSIDE : WOKEN;
    }
    return g->place;
}

static void
test_smoke(void)
{
    trt_semaphore s;
    trt_semaphore_init(&s, 2, 3);
    CHECK_EQ(trt_semaphore_permits(&s), 2);
    CHECK(trt_semaphore_try_acquire(&s));
    CHECK(trt_semaphore_try_acquire(&s));
    CHECK_EQ(trt_semaphore_permits(&s), 0);
    CHECK(!trt_semaphore_try_acquire(&s));
    for (unsigned i = 1; i <= 3; i++) {
        CHECK(trt_semaphore_release(&s));
        CHECK_EQ(trt_semaphore_permits(&s), i);
    }
    CHECK(!trt_semaphore_release(&s)); /* there are as many as there may be */
    CHECK_EQ(trt_semaphore_permits(&s), 3);
    trt_semaphore_destroy(&s);
}

static void
test_empty_and_full(void)
{
    trt_semaphore s;
    trt_semaphore_init(&s, 0, 0); /* nobody ever gets one */
    CHECK(!trt_semaphore_try_acquire(&s));
    CHECK(!trt_semaphore_release(&s));
    trt_semaphore_destroy(&s);
    trt_semaphore_init(&s, TRT_SEMAPHORE_MAX, TRT_SEMAPHORE_MAX);
    CHECK(!trt_semaphore_release(&s));
    CHECK(trt_semaphore_try_acquire(&s));
    CHECK_EQ(trt_semaphore_permits(&s), TRT_SEMAPHORE_MAX - 1);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(trt_semaphore_permits(&s), TRT_SEMAPHORE_MAX);
    trt_semaphore_destroy(&s);
}

static void
test_acquire_takes_a_permit_that_is_there(void)
{
    trt_semaphore s;
    struct visitor guest;
    visitors_init(&guest, 1);
    trt_semaphore_init(&s, 1, 1);
    come(&s, &guest);
    CHECK_EQ(guest.place, INSIDE);
    CHECK(!guest.node.queued);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(trt_semaphore_permits(&s), 1);
    trt_semaphore_destroy(&s);
    visitors_destroy(&guest, 1);
}

static void
test_permits_wake_in_the_order_of_arrival(void)
{
    enum { COUNT = 4 };
    trt_semaphore s;
    struct visitor guests[COUNT];
    visitors_init(guests, COUNT);
    trt_semaphore_init(&s, 0, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        come(&s, &guests[i]);
        CHECK_EQ(guests[i].place, QUEUED);
    }
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(trt_semaphore_release(&s));
        CHECK_EQ(trt_semaphore_permits(&s), 1);
        for (size_t other = i; other < COUNT; other++) {
            CHECK_EQ(look_at(&guests[other]), other == i ? WOKEN : QUEUED);
        }
        come(&s, &guests[i]);
        CHECK_EQ(guests[i].place, INSIDE);
    }
    CHECK_EQ(trt_load_relaxed(&s.word), 0); /* and the way is short again */
    trt_semaphore_destroy(&s);
    visitors_destroy(guests, COUNT);
}

static void
test_each_permit_wakes_one(void)
{
    enum { COUNT = 3 };
    trt_semaphore s;
    struct visitor guests[COUNT];
    visitors_init(guests, COUNT);
    trt_semaphore_init(&s, 0, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        come(&s, &guests[i]);
    }
    CHECK(trt_semaphore_release(&s));
    CHECK(trt_semaphore_release(&s)); /* before the first has come */
    CHECK_EQ(look_at(&guests[0]), WOKEN);
    CHECK_EQ(look_at(&guests[1]), WOKEN);
    CHECK_EQ(look_at(&guests[2]), QUEUED);
    come(&s, &guests[1]);
    come(&s, &guests[0]);
    CHECK_EQ(guests[0].place, INSIDE);
    CHECK_EQ(guests[1].place, INSIDE);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(look_at(&guests[2]), WOKEN);
    come(&s, &guests[2]);
    CHECK_EQ(guests[2].place, INSIDE);
    trt_semaphore_destroy(&s);
    visitors_destroy(guests, COUNT);
}

/* Release, somebody barges in, the one that was woken waits again: the next
 * permit is handed to it. */
static void
test_who_has_lost_gets_the_next_permit(void)
{
    trt_semaphore s;
    struct visitor first, second;
    visitors_init(&first, 1);
    visitors_init(&second, 1);
    trt_semaphore_init(&s, 1, 1);
    CHECK(trt_semaphore_try_acquire(&s));
    come(&s, &first);
    come(&s, &second);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(look_at(&first), WOKEN);
    CHECK(trt_semaphore_try_acquire(&s)); /* a newcomer, who has not waited */
    come(&s, &first);
    CHECK_EQ(first.place, QUEUED);
    CHECK(!trt_semaphore_try_acquire(&s));
    CHECK(trt_semaphore_release(&s)); /* nobody can take this one */
    CHECK_EQ(trt_semaphore_permits(&s), 0);
    CHECK(!trt_semaphore_try_acquire(&s));
    CHECK_EQ(look_at(&first), INSIDE);
    CHECK_EQ(look_at(&second), QUEUED);
    CHECK(trt_semaphore_release(&s)); /* the first's */
    CHECK_EQ(look_at(&second), WOKEN);
    CHECK_EQ(trt_semaphore_permits(&s), 1);
    come(&s, &second);
    CHECK_EQ(second.place, INSIDE);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(trt_load_relaxed(&s.word), TRT_SEMAPHORE_ONE);
    trt_semaphore_destroy(&s);
    visitors_destroy(&first, 1);
    visitors_destroy(&second, 1);
}

/* Two that were woken lose both: they get theirs in the order in which they
 * came back.
 */
static void
test_who_has_lost_is_not_overtaken_by_others_that_have(void)
{
    trt_semaphore s;
    struct visitor guests[3];
    visitors_init(guests, 3);
    trt_semaphore_init(&s, 0, 1);
    for (int i = 0; i < 3; i++) {
        come(&s, &guests[i]);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(trt_semaphore_release(&s));
        CHECK(trt_semaphore_try_acquire(&s)); /* a newcomer */
        CHECK_EQ(look_at(&guests[i]), WOKEN);
    }
    come(&s, &guests[0]);
    come(&s, &guests[1]);
    for (int i = 0; i < 2; i++) {
        CHECK(trt_semaphore_release(&s));
        CHECK_EQ(look_at(&guests[i]), INSIDE);
        CHECK_EQ(trt_semaphore_permits(&s), 0);
    }
    CHECK_EQ(look_at(&guests[2]), QUEUED);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(look_at(&guests[2]), WOKEN);
    trt_semaphore_pass_on(&s);
    trt_semaphore_destroy(&s);
    visitors_destroy(guests, 3);
}

static void
test_permit_too_many_wakes_nobody(void)
{
    trt_semaphore s;
    struct visitor guests[2];
    visitors_init(guests, 2);
    trt_semaphore_init(&s, 0, 1);
    come(&s, &guests[0]);
    come(&s, &guests[1]);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(look_at(&guests[0]), WOKEN);
    CHECK(!trt_semaphore_release(&s)); /* guest 0 has not come yet */
    CHECK_EQ(look_at(&guests[1]), QUEUED);
    come(&s, &guests[0]);
    CHECK_EQ(guests[0].place, INSIDE);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(look_at(&guests[1]), WOKEN);
    CHECK_EQ(trt_load_relaxed(&s.word), TRT_SEMAPHORE_ONE);
    trt_semaphore_destroy(&s);
    visitors_destroy(guests, 2);
}

static void
test_abandoned_node_gets_no_permit(void)
{
    for (int left_first = 0; left_first < 2; left_first++) {
        trt_semaphore s;
        struct visitor first, second;
        visitors_init(&first, 1);
        visitors_init(&second, 1);
        trt_semaphore_init(&s, 0, 2);
        come(&s, &first);
        come(&s, &second);
        abandon(&first);
        if (left_first) {
            leave(&s, &first);
        }
        CHECK(trt_semaphore_release(&s));
        CHECK_EQ(look_at(&second), WOKEN);
        if (!left_first) {
            leave(&s, &first);
        }
        come(&s, &second);
        CHECK_EQ(second.place, INSIDE);
        come(&s, &first);
        abandon(&first);
        CHECK(trt_semaphore_release(&s)); /* nobody is there who could be served */
        CHECK_EQ(trt_load_relaxed(&s.word), TRT_SEMAPHORE_ONE);
        leave(&s, &first);
        CHECK_EQ(trt_load_relaxed(&s.word), TRT_SEMAPHORE_ONE);
        trt_semaphore_destroy(&s);
        visitors_destroy(&first, 1);
        visitors_destroy(&second, 1);
    }
}

static void
test_last_to_leave_shortens_the_way(void)
{
    trt_semaphore s;
    struct visitor guests[2];
    visitors_init(guests, 2);
    trt_semaphore_init(&s, 0, 1);
    come(&s, &guests[0]);
    come(&s, &guests[1]);
    abandon(&guests[0]);
    leave(&s, &guests[0]);
    CHECK_EQ(trt_load_relaxed(&s.word), TRT_SEMAPHORE_QUEUED);
    abandon(&guests[1]);
    leave(&s, &guests[1]);
    CHECK_EQ(trt_load_relaxed(&s.word), 0);
    trt_semaphore_destroy(&s);
    visitors_destroy(guests, 2);
}

/* Nor is it handed to one that has lost and then left. */
static void
test_permit_is_free_when_who_has_lost_is_gone(void)
{
    trt_semaphore s;
    struct visitor first, second;
    visitors_init(&first, 1);
    visitors_init(&second, 1);
    trt_semaphore_init(&s, 0, 1);
    come(&s, &first);
    come(&s, &second);
    CHECK(trt_semaphore_release(&s));
    CHECK(trt_semaphore_try_acquire(&s));
    CHECK_EQ(look_at(&first), WOKEN);
    come(&s, &first);
    abandon(&first);
    CHECK(trt_semaphore_release(&s));
    CHECK_EQ(trt_semaphore_permits(&s), 1);
    CHECK_EQ(look_at(&second), WOKEN);
    leave(&s, &first);
    come(&s, &second);
    CHECK_EQ(second.place, INSIDE);
    trt_semaphore_destroy(&s);
    visitors_destroy(&first, 1);
    visitors_destroy(&second, 1);
}

static void
test_pass_on_wakes_the_next_if_the_permit_is_there(void)
{
    for (int barged = 0; barged < 2; barged++) {
        trt_semaphore s;
        struct visitor guests[3];
        visitors_init(guests, 3);
        trt_semaphore_init(&s, 0, 1);
        for (int i = 0; i < 3; i++) {
            come(&s, &guests[i]);
        }
        abandon(&guests[1]);
        CHECK(trt_semaphore_release(&s));
        CHECK_EQ(look_at(&guests[0]), WOKEN);
        CHECK(!barged || trt_semaphore_try_acquire(&s));
        trt_semaphore_pass_on(&s); /* by guest 0, who has lost interest */
        guests[0].place = OUTSIDE;
        leave(&s, &guests[1]);
        CHECK_EQ(look_at(&guests[2]), barged ? QUEUED : WOKEN);
        CHECK_EQ(trt_semaphore_permits(&s), !barged);
        if (barged) {
            CHECK(trt_semaphore_release(&s)); /* who barged in wakes it */
            CHECK_EQ(look_at(&guests[2]), WOKEN);
        }
        come(&s, &guests[2]);
        CHECK_EQ(guests[2].place, INSIDE);
        CHECK_EQ(trt_load_relaxed(&s.word), 0);
        CHECK(trt_semaphore_release(&s));
        trt_semaphore_pass_on(&s); /* to nobody */
        CHECK_EQ(trt_load_relaxed(&s.word), TRT_SEMAPHORE_ONE);
        trt_semaphore_destroy(&s);
        visitors_destroy(guests, 3);
    }
}

/* ---- one thread plays all, step by step
 * ------------------------------------------ */

enum { GUESTS = 6 };

struct hall {
    trt_semaphore semaphore;
    uint64_t permits; /* in all */
    struct visitor guests[GUESTS];
    size_t entries;
};

static size_t
count_guests(struct hall *hall, enum place place, bool lost)
{
    size_t count = 0;
    for (size_t i = 0; i < GUESTS; i++) {
        const struct visitor *g = &hall->guests[i];
        count += g->place == place && (g->node.lost || !lost);
    }
    return count;
}

/* A guest has a permit: those who had lost before it came back have not been
 * overtaken. */
static void
note_entry(struct hall *hall, const struct visitor *entered)
{
    hall->entries++;
    for (size_t i = 0; i < GUESTS; i++) {
        struct visitor *g = &hall->guests[i];
        if (g != entered && g->place == QUEUED && g->node.lost &&
            !sleeper_is_woken(&g->sleeper)) {
            CHECK(g->ahead > 0);
            g->ahead--;
        }
    }
}

static void
step(struct hall *hall, struct visitor *g, uint64_t *random)
{
    switch (g->place) {
    case OUTSIDE:
        if (check_random(random, 3) > 0) {
            come(&hall->semaphore, g);
        } else if (check_random(random, 2) == 0 &&
                   trt_semaphore_permits(&hall->semaphore) == hall->permits) {
            CHECK(!trt_semaphore_release(&hall->semaphore));
        } else if (trt_semaphore_try_acquire(&hall->semaphore)) {
            g->place = INSIDE;
        }
        break;
    case QUEUED:
        if (check_random(random, 8) == 0) {
            abandon(g);
        }
        return;
    case ABANDONED:
        leave(&hall->semaphore, g);
        return;
    case WOKEN:
        if (check_random(random, 8) == 0) {
            trt_semaphore_pass_on(&hall->semaphore);
            g->place = OUTSIDE;
        } else {
            g->ahead = count_guests(hall, QUEUED, true);
            come(&hall->semaphore, g);
        }
        break;
    case INSIDE:
        CHECK(trt_semaphore_release(&hall->semaphore));
        g->place = OUTSIDE;
        return;
    }
    if (g->place == INSIDE) {
        note_entry(hall, g);
    }
}

static void
check_hall(struct hall *hall)
{
    for (size_t i = 0; i < GUESTS; i++) {
        const enum place before = hall->guests[i].place;
        if (look_at(&hall->guests[i]) == INSIDE && before == QUEUED) {
            note_entry(hall, &hall->guests[i]);
        }
    }
    const uint64_t free = trt_semaphore_permits(&hall->semaphore);
    const size_t queued = count_guests(hall, QUEUED, false);
    CHECK_EQ(free + count_guests(hall, INSIDE, false), hall->permits);
    if (queued > 0) {
        CHECK(trt_load_relaxed(&hall->semaphore.word) & TRT_SEMAPHORE_QUEUED);
        CHECK(free <=
              count_guests(hall, WOKEN, false)); /* one is on its way for each */
        CHECK(free == 0 || count_guests(hall, QUEUED, true) == 0);
    }
}

static void
empty_hall(struct hall *hall)
{
    for (size_t i = 0; i < GUESTS; i++) {
        struct visitor *g = &hall->guests[i];
        if (g->place == QUEUED) {
            abandon(g);
        }
        if (g->place == ABANDONED) {
            leave(&hall->semaphore, g);
        }
    }
    for (size_t i = 0; i < GUESTS; i++) {
        if (hall->guests[i].place == INSIDE) {
            CHECK(trt_semaphore_release(&hall->semaphore));
        }
    }
    CHECK_EQ(trt_load_relaxed(&hall->semaphore.word),
             hall->permits * TRT_SEMAPHORE_ONE);
}

static void
test_random_steps(void)
{
    for (uint64_t permits = 1; permits <= 4; permits++) {
        struct hall hall = {.permits = permits};
        uint64_t random = check_random_start(permits);
        trt_semaphore_init(&hall.semaphore, permits, permits);
        visitors_init(hall.guests, GUESTS);
        for (size_t i = 0; i < 200000 / CHECK_SLOWNESS; i++) {
            step(&hall, &hall.guests[check_random(&random, GUESTS)], &random);
            check_hall(&hall);
        }
        CHECK(hall.entries > 0);
        empty_hall(&hall);
        trt_semaphore_destroy(&hall.semaphore);
        visitors_destroy(hall.guests, GUESTS);
    }
}

/* One that has lost gets its permit, two are woken, the rest is free; or nothing. */
static void
test_many_permits_come_back_at_once(void)
{
    enum { COUNT = 4, PERMITS = 10 };
    trt_semaphore s;
    struct visitor guests[COUNT];
    visitors_init(guests, COUNT);
    trt_semaphore_init(&s, 0, PERMITS);
    come(&s, &guests[0]);
    CHECK(trt_semaphore_release(&s));
    CHECK(trt_semaphore_try_acquire(&s)); /* a newcomer */
    CHECK_EQ(look_at(&guests[0]), WOKEN);
    for (size_t i = 0; i < COUNT; i++) {
        come(&s, &guests[i]);
    }
    CHECK(!trt_semaphore_release_many(&s, PERMITS + 1));
    CHECK(!trt_semaphore_release_many(&s, UINT64_MAX));
    CHECK_EQ(trt_semaphore_permits(&s), 0);
    CHECK_EQ(look_at(&guests[0]), QUEUED);
    CHECK(trt_semaphore_release_many(&s, 3));
    CHECK_EQ(trt_semaphore_permits(&s), 2);
    CHECK_EQ(look_at(&guests[0]), INSIDE);
    CHECK_EQ(look_at(&guests[1]), WOKEN);
    CHECK_EQ(look_at(&guests[2]), WOKEN);
    CHECK_EQ(look_at(&guests[3]), QUEUED);
    CHECK(trt_semaphore_release_many(&s, PERMITS - 2));
    CHECK_EQ(look_at(&guests[3]), WOKEN);
    CHECK_EQ(trt_load_relaxed(&s.word), PERMITS * TRT_SEMAPHORE_ONE);
    CHECK(!trt_semaphore_release_many(&s, 1));
    trt_semaphore_destroy(&s);
    visitors_destroy(guests, COUNT);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty_and_full);
    RUN(test_acquire_takes_a_permit_that_is_there);
    RUN(test_permits_wake_in_the_order_of_arrival);
    RUN(test_each_permit_wakes_one);
    RUN(test_who_has_lost_gets_the_next_permit);
    RUN(test_who_has_lost_is_not_overtaken_by_others_that_have);
    RUN(test_permit_too_many_wakes_nobody);
    RUN(test_abandoned_node_gets_no_permit);
    RUN(test_last_to_leave_shortens_the_way);
    RUN(test_permit_is_free_when_who_has_lost_is_gone);
    RUN(test_pass_on_wakes_the_next_if_the_permit_is_there);
    RUN(test_many_permits_come_back_at_once);
    RUN(test_random_steps);
    return check_end();
}
