/* Each item that is put is got once, in order, or stays with who wanted to put it. */
#include "items.h"
#include "sleeper.h"

#include "sync/channel.h"

static int things[64]; /* to put */

/* The guest waits to put the thing. */
static void
wait_to_put(trt_channel *c, struct guest *g, int *thing)
{
    guest_begin(g);
    CHECK_EQ(trt_channel_put(c, thing, &g->node), TRT_CHANNEL_MUST_WAIT);
    CHECK(g->node.queued && g->node.value == thing);
}

static void
wait_to_get(trt_channel *c, struct guest *g)
{
    void *item;
    guest_begin(g);
    CHECK_EQ(trt_channel_get(c, &item, &g->node), TRT_CHANNEL_MUST_WAIT);
    CHECK(g->node.queued);
}

static void
check_put(trt_channel *c, int *thing)
{
    CHECK_EQ(trt_channel_put(c, thing, NULL), TRT_CHANNEL_DONE);
}

static void
check_get(trt_channel *c, const int *thing)
{
    void *item = NULL;
    CHECK_EQ(trt_channel_get(c, &item, NULL), TRT_CHANNEL_DONE);
    CHECK(item == thing);
}

static void
check_empty(trt_channel *c)
{
    void *item = things;
    CHECK_EQ(trt_channel_count(c), 0);
    CHECK_EQ(trt_channel_get(c, &item, NULL), TRT_CHANNEL_MUST_WAIT);
    CHECK(item == things); /* it is left alone */
}

static void
test_smoke(void)
{
    trt_channel c;
    trt_channel_init(&c, 2);
    check_empty(&c);
    CHECK(!trt_channel_is_closed(&c));
    check_put(&c, &things[0]);
    check_put(&c, &things[1]);
    CHECK_EQ(trt_channel_count(&c), 2);
    check_get(&c, &things[0]);
    check_put(&c, &things[2]);
    check_get(&c, &things[1]);
    check_get(&c, &things[2]);
    check_empty(&c);
    trt_channel_destroy(&c);
}

static void
test_holds_as_many_as_its_capacity(void)
{
    const uint64_t capacities[] = {0, 1, 3, 8, 9};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        const uint64_t capacity = capacities[i];
        trt_channel c;
        trt_channel_init(&c, capacity);
        for (size_t n = 0; n < capacity; n++) {
            check_put(&c, &things[n]);
        }
        CHECK_EQ(trt_channel_put(&c, &things[63], NULL), TRT_CHANNEL_MUST_WAIT);
        CHECK_EQ(trt_channel_count(&c), capacity);
        for (size_t n = 0; n < capacity; n++) {
            check_get(&c, &things[n]);
        }
        check_empty(&c);
        trt_channel_destroy(&c);
    }
}

static void
test_order_lasts_when_the_ring_wraps_and_grows(void)
{
    enum { MOST = 1000 };
    static int many[MOST];
    trt_channel c;
    uint64_t random = check_random_start(0);
    size_t put = 0, got = 0;
    trt_channel_init(&c, TRT_CHANNEL_UNBOUNDED);
    while (got < 100 * MOST) {
        for (uint64_t n = check_random(&random, 30); n > 0 && put - got < MOST; n--) {
            check_put(&c, &many[put++ % MOST]);
        }
        for (uint64_t n = check_random(&random, 29); n > 0 && got < put; n--) {
            check_get(&c, &many[got++ % MOST]);
        }
        CHECK_EQ(trt_channel_count(&c), put - got);
    }
    while (got < put) {
        check_get(&c, &many[got++ % MOST]);
    }
    check_empty(&c);
    trt_channel_destroy(&c);
}

static void
test_getters_are_served_in_the_order_of_arrival(void)
{
    const uint64_t capacities[] = {0, 1, TRT_CHANNEL_UNBOUNDED};
    for (size_t i = 0; i < 3; i++) {
        trt_channel c;
        struct guest getters[3];
        guests_init(getters, 3);
        trt_channel_init(&c, capacities[i]);
        for (int n = 0; n < 3; n++) {
            wait_to_get(&c, &getters[n]);
        }
        for (int n = 0; n < 3; n++) {
            check_put(&c, &things[n]);
            CHECK_EQ(trt_channel_count(&c), 0); /* handed over */
            CHECK(guest_goes_on(&getters[n]));
            CHECK(getters[n].node.value == &things[n]);
            CHECK(n == 2 || !sleeper_is_woken(&getters[n + 1].sleeper));
        }
        check_empty(&c);
        trt_channel_destroy(&c);
        guests_destroy(getters, 3);
    }
}

static void
test_putters_are_served_in_the_order_of_arrival(void)
{
    for (size_t capacity = 0; capacity <= 3; capacity++) {
        trt_channel c;
        struct guest putters[3];
        guests_init(putters, 3);
        trt_channel_init(&c, capacity);
        for (size_t n = 0; n < capacity; n++) {
            check_put(&c, &things[n]);
        }
        for (size_t n = 0; n < 3; n++) {
            wait_to_put(&c, &putters[n], &things[capacity + n]);
        }
        for (size_t n = 0; n < 3; n++) {
            check_get(&c, &things[n]);
            CHECK_EQ(trt_channel_count(&c), capacity); /* it is full again */
            CHECK(guest_goes_on(&putters[n]));
            CHECK(putters[n].node.value == NULL);
            CHECK(n == 2 || !sleeper_is_woken(&putters[n + 1].sleeper));
        }
        for (size_t n = 0; n < capacity; n++) {
            check_get(&c, &things[3 + n]);
        }
        check_empty(&c);
        trt_channel_destroy(&c);
        guests_destroy(putters, 3);
    }
}

static void
test_abandoned_getter_gets_nothing(void)
{
    for (int left_first = 0; left_first < 2; left_first++) {
        trt_channel c;
        struct guest getters[2];
        guests_init(getters, 2);
        trt_channel_init(&c, 0);
        wait_to_get(&c, &getters[0]);
        wait_to_get(&c, &getters[1]);
        guest_abandon(&getters[0]);
        if (left_first) {
            trt_channel_leave(&c, &getters[0].node, false);
        }
        check_put(&c, &things[0]);
        CHECK(guest_goes_on(&getters[1]));
        CHECK(getters[1].node.value == &things[0]);
        trt_channel_leave(&c, &getters[0].node, false);
        CHECK(!getters[0].node.served);
        wait_to_get(&c, &getters[0]);
        guest_abandon(&getters[0]); /* nobody is left to hand it to */
        CHECK_EQ(trt_channel_put(&c, &things[1], NULL), TRT_CHANNEL_MUST_WAIT);
        trt_channel_leave(&c, &getters[0].node, false);
        check_empty(&c);
        trt_channel_destroy(&c);
        guests_destroy(getters, 2);
    }
}

static void
test_abandoned_putter_keeps_its_item(void)
{
    for (int left_first = 0; left_first < 2; left_first++) {
        for (size_t capacity = 0; capacity < 2; capacity++) {
            trt_channel c;
            struct guest putters[3];
            guests_init(putters, 3);
            trt_channel_init(&c, capacity);
            for (size_t n = 0; n < capacity; n++) {
                check_put(&c, &things[9]);
            }
            for (int n = 0; n < 3; n++) {
                wait_to_put(&c, &putters[n], &things[n]);
            }
            guest_abandon(&putters[0]);
            guest_abandon(&putters[2]);
            if (left_first) {
                trt_channel_leave(&c, &putters[0].node, true);
            }
            for (size_t n = 0; n < capacity; n++) {
                check_get(&c, &things[9]);
            }
            check_get(&c, &things[1]);
            CHECK(guest_goes_on(&putters[1]));
            check_empty(&c);
            for (int n = 0; n < 3; n += 2) {
                trt_channel_leave(&c, &putters[n].node, true);
                CHECK(putters[n].node.value == &things[n]);
                CHECK(!putters[n].node.served);
            }
            trt_channel_destroy(&c);
            guests_destroy(putters, 3);
        }
    }
}

static void
test_put_back_is_the_oldest(void)
{
    const uint64_t capacities[] = {0, 1, 3, TRT_CHANNEL_UNBOUNDED};
    for (size_t i = 0; i < 4; i++) {
        trt_channel c;
        trt_channel_init(&c, capacities[i]);
        for (int n = 19; n >= 0; n--) { /* grows on the way */
            CHECK(trt_channel_put_back(&c, &things[n]));
        }
        CHECK_EQ(trt_channel_count(&c), 20);
        check_get(&c, &things[0]);
        CHECK(trt_channel_put_back(&c, &things[0]));
        CHECK_EQ(trt_channel_put(&c, &things[20], NULL),
                 i == 3 ? TRT_CHANNEL_DONE : TRT_CHANNEL_MUST_WAIT);
        for (int n = 0; n < 20 + (i == 3); n++) {
            check_get(&c, &things[n]);
        }
        check_empty(&c);
        trt_channel_destroy(&c);
    }
}

static void
test_put_back_goes_to_who_waits(void)
{
    trt_channel c;
    struct guest getters[2];
    guests_init(getters, 2);
    trt_channel_init(&c, 0);
    wait_to_get(&c, &getters[0]);
    wait_to_get(&c, &getters[1]);
    guest_abandon(&getters[0]);
    CHECK(trt_channel_put_back(&c, &things[0]));
    CHECK(guest_goes_on(&getters[1]));
    CHECK(getters[1].node.value == &things[0]);
    check_empty(&c);
    trt_channel_leave(&c, &getters[0].node, false);
    trt_channel_destroy(&c);
    guests_destroy(getters, 2);
}

/* Items beyond the capacity go first, then there is room for those who wait. */
static void
test_putters_wait_while_more_is_held_than_there_is_room(void)
{
    for (size_t capacity = 0; capacity <= 3; capacity++) {
        trt_channel c;
        struct guest putters[2];
        guests_init(putters, 2);
        trt_channel_init(&c, capacity);
        for (size_t n = 0; n < capacity; n++) {
            check_put(&c, &things[2 + n]);
        }
        wait_to_put(&c, &putters[0], &things[2 + capacity]);
        CHECK(trt_channel_put_back(&c, &things[1]));
        CHECK(trt_channel_put_back(&c, &things[0]));
        wait_to_put(&c, &putters[1], &things[3 + capacity]);
        check_get(&c, &things[0]);
        check_get(&c, &things[1]);
        for (size_t n = 0; n < 2; n++) {
            CHECK_EQ(trt_channel_count(&c), capacity);
            CHECK(!sleeper_is_woken(&putters[n].sleeper));
            check_get(&c, &things[2 + n]);
            CHECK(guest_goes_on(&putters[n]));
        }
        for (size_t n = 0; n < capacity; n++) {
            check_get(&c, &things[4 + n]);
        }
        check_empty(&c);
        trt_channel_destroy(&c);
        guests_destroy(putters, 2);
    }
}

static void
test_close_refuses_puts_and_lets_the_rest_be_got(void)
{
    trt_channel c;
    void *item = things;
    struct guest putters[2];
    guests_init(putters, 2);
    trt_channel_init(&c, 2);
    check_put(&c, &things[0]);
    check_put(&c, &things[1]);
    wait_to_put(&c, &putters[0], &things[2]);
    wait_to_put(&c, &putters[1], &things[3]);
    guest_abandon(&putters[1]);
    CHECK(trt_channel_close(&c));
    CHECK(trt_channel_is_closed(&c));
    CHECK(!trt_channel_close(&c));
    CHECK(guest_goes_on(&putters[0]));
    CHECK(putters[0].node.value == trt_channel_refused);
    trt_channel_leave(&c, &putters[1].node, true);
    CHECK(putters[1].node.value == &things[3]);
    guest_begin(&putters[0]);
    CHECK_EQ(trt_channel_put(&c, &things[4], &putters[0].node), TRT_CHANNEL_CLOSED);
    CHECK(!putters[0].node.queued);
    check_get(&c, &things[0]);
    CHECK(trt_channel_put_back(&c, &things[0])); /* it had been accepted */
    check_get(&c, &things[0]);
    check_get(&c, &things[1]);
    CHECK_EQ(trt_channel_get(&c, &item, &putters[0].node), TRT_CHANNEL_CLOSED);
    CHECK(!putters[0].node.queued && item == things);
    sleeper_end(&putters[0].sleeper);
    trt_channel_destroy(&c);
    guests_destroy(putters, 2);
}

static void
test_close_wakes_getters_with_nothing(void)
{
    trt_channel c;
    struct guest getters[3];
    guests_init(getters, 3);
    trt_channel_init(&c, 2);
    for (int n = 0; n < 3; n++) {
        wait_to_get(&c, &getters[n]);
    }
    guest_abandon(&getters[1]);
    CHECK(trt_channel_close(&c));
    CHECK(guest_goes_on(&getters[0]));
    CHECK(guest_goes_on(&getters[2]));
    CHECK(getters[0].node.value == NULL && getters[2].node.value == NULL);
    trt_channel_leave(&c, &getters[1].node, false);
    CHECK(!getters[1].node.served);
    trt_channel_destroy(&c);
    guests_destroy(getters, 3);
}

struct drops {
    trt_channel *channel;
    int *dropped[64];
    size_t count;
};

static void
note_drop(void *item, void *arg)
{
    struct drops *drops = arg;
    CHECK_EQ(trt_channel_count(drops->channel), 0); /* it may be called */
    drops->dropped[drops->count++] = item;
}

static void
test_clear_takes_out_all_in_order(void)
{
    trt_channel c;
    struct drops drops = {.channel = &c};
    trt_channel_init(&c, 20);
    CHECK_EQ(trt_channel_clear(&c, note_drop, &drops), 0);
    for (int n = 0; n < 5; n++) {
        check_put(&c, &things[60]);
        check_get(&c, &things[60]); /* so that what follows wraps */
    }
    for (int n = 0; n < 8; n++) {
        check_put(&c, &things[n]);
    }
    CHECK_EQ(trt_channel_clear(&c, note_drop, &drops), 8);
    CHECK_EQ(drops.count, 8);
    for (int n = 0; n < 8; n++) {
        CHECK(drops.dropped[n] == &things[n]);
    }
    check_empty(&c);
    check_put(&c, &things[0]); /* it is as new */
    CHECK(trt_channel_put_back(&c, &things[1]));
    check_get(&c, &things[1]);
    check_get(&c, &things[0]);
    CHECK(trt_channel_close(&c));
    CHECK_EQ(trt_channel_clear(&c, note_drop, &drops), 0);
    trt_channel_destroy(&c);
}

/* ---- several channels at once ---------------------------------------------------- */

enum { CHANNELS = 3 };

/* One put or get that waits at several channels and happens at one. */
struct select {
    struct sleeper *sleeper;
    trt_channel *channels; /* an array, so later ones have higher addresses */
    unsigned where;        /* a bit for each channel */
    bool is_put;
    void *item; /* to put, or that was got */
    size_t at;  /* the channel where it happened */
    trt_wait_node nodes[CHANNELS];
};

static void
select_lock(struct select *s)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            trt_channel_lock(&s->channels[i]);
        }
    }
}

static void
select_unlock(struct select *s)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            trt_channel_unlock(&s->channels[i]);
        }
    }
}

static trt_channel_result
select_try_locked(struct select *s, size_t i, trt_wait_node *node, trt_wait_node **wake)
{
    trt_channel *c = &s->channels[i];
    return s->is_put ? trt_channel_put_locked(c, s->item, node, wake)
                     : trt_channel_get_locked(c, &s->item, node, wake);
}

/* Try each, then enter a node in each. CLOSED if any refuses a put, or none has an item
 * nor will. */
static trt_channel_result
select_begin(struct select *s)
{
    trt_wait_node *wake = NULL;
    trt_channel_result result = s->is_put ? TRT_CHANNEL_MUST_WAIT : TRT_CHANNEL_CLOSED;
    sleeper_begin(s->sleeper);
    select_lock(s);
    for (size_t i = 0; i < CHANNELS; i++) {
        trt_wait_node_init(&s->nodes[i], &s->sleeper->waiter, NULL);
        if (!(s->where >> i & 1)) {
            continue;
        }
        const trt_channel_result here = select_try_locked(s, i, NULL, &wake);
        CHECK(here != TRT_CHANNEL_NO_MEMORY);
        if (here == TRT_CHANNEL_DONE || (here == TRT_CHANNEL_CLOSED && s->is_put)) {
            s->at = i;
            result = here;
            break;
        }
        CHECK(wake == NULL);
        if (here == TRT_CHANNEL_MUST_WAIT) {
            result = here;
        }
    }
    for (size_t i = 0; i < CHANNELS && result == TRT_CHANNEL_MUST_WAIT; i++) {
        if (s->where >> i & 1) {
            const trt_channel_result here =
                select_try_locked(s, i, &s->nodes[i], &wake);
            CHECK(here == TRT_CHANNEL_MUST_WAIT || here == TRT_CHANNEL_CLOSED);
            CHECK_EQ(s->nodes[i].queued, here == TRT_CHANNEL_MUST_WAIT);
        }
    }
    select_unlock(s);
    trt_wait_nodes_wake(wake);
    if (result != TRT_CHANNEL_MUST_WAIT) {
        sleeper_end(s->sleeper);
    }
    return result;
}

/* After it was served (woken) or abandoned, and the wait has ended. MUST_WAIT: nothing
 * has happened, or a channel was closed that had no item for it. */
static trt_channel_result
select_finish(struct select *s, bool woken)
{
    size_t served = 0;
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            trt_channel_leave(&s->channels[i], &s->nodes[i], s->is_put);
        }
        CHECK(!s->nodes[i].queued);
        if (s->nodes[i].served) {
            served++;
            s->at = i;
        }
    }
    CHECK_EQ(served, woken);
    if (!woken) {
        return TRT_CHANNEL_MUST_WAIT;
    }
    void *const value = s->nodes[s->at].value;
    if (s->is_put) {
        CHECK(value == NULL || value == trt_channel_refused);
        return value == NULL ? TRT_CHANNEL_DONE : TRT_CHANNEL_CLOSED;
    }
    if (value == NULL) {
        CHECK(trt_channel_is_closed(&s->channels[s->at]));
        return TRT_CHANNEL_MUST_WAIT;
    }
    s->item = value;
    return TRT_CHANNEL_DONE;
}

static void
test_waiter_at_several_channels_is_served_at_one(void)
{
    for (int is_put = 0; is_put < 2; is_put++) {
        trt_channel channels[CHANNELS];
        struct sleeper sleeper;
        struct guest others[CHANNELS];
        sleeper_init(&sleeper);
        guests_init(others, CHANNELS);
        for (size_t i = 0; i < CHANNELS; i++) {
            trt_channel_init(&channels[i], 0);
        }
        struct select s = {.sleeper = &sleeper,
                           .channels = channels,
                           .where = 7,
                           .is_put = is_put,
                           .item = &things[0]};
        CHECK_EQ(select_begin(&s), TRT_CHANNEL_MUST_WAIT);
        for (size_t i = 0; i < CHANNELS; i++) { /* the middle first */
            trt_channel *c = &channels[(i + 1) % CHANNELS];
            void *item = NULL;
            guest_begin(&others[i]);
            const trt_channel_result result =
                is_put ? trt_channel_get(c, &item, &others[i].node)
                       : trt_channel_put(c, &things[i], &others[i].node);
            CHECK_EQ(result, i == 0 ? TRT_CHANNEL_DONE : TRT_CHANNEL_MUST_WAIT);
            CHECK(item == (is_put && i == 0 ? &things[0] : NULL));
        }
        CHECK(sleeper_is_woken(&sleeper));
        sleeper_end(&sleeper);
        CHECK_EQ(select_finish(&s, true), TRT_CHANNEL_DONE);
        CHECK_EQ(s.at, 1);
        CHECK(s.item == &things[0]);
        sleeper_end(&others[0].sleeper);
        for (size_t i = 1; i < CHANNELS; i++) {
            guest_abandon(&others[i]);
            trt_channel_leave(&channels[(i + 1) % CHANNELS], &others[i].node, !is_put);
        }
        for (size_t i = 0; i < CHANNELS; i++) {
            trt_channel_destroy(&channels[i]);
        }
        guests_destroy(others, CHANNELS);
        sleeper_destroy(&sleeper);
    }
}

static void
test_two_that_wait_at_several_channels_meet_once(void)
{
    trt_channel channels[CHANNELS];
    struct sleeper sleepers[2];
    for (size_t i = 0; i < CHANNELS; i++) {
        trt_channel_init(&channels[i], 0);
    }
    for (int n = 0; n < 2; n++) {
        sleeper_init(&sleepers[n]);
    }
    struct select get = {.sleeper = &sleepers[0], .channels = channels, .where = 6};
    struct select put = {.sleeper = &sleepers[1],
                         .channels = channels,
                         .where = 7,
                         .is_put = true,
                         .item = &things[3]};
    CHECK_EQ(select_begin(&get), TRT_CHANNEL_MUST_WAIT);
    CHECK_EQ(select_begin(&put), TRT_CHANNEL_DONE);
    CHECK_EQ(put.at, 1);
    sleeper_end(&sleepers[0]);
    CHECK_EQ(select_finish(&get, true), TRT_CHANNEL_DONE);
    CHECK_EQ(get.at, 1);
    CHECK(get.item == &things[3]);
    for (size_t i = 0; i < CHANNELS; i++) {
        check_empty(&channels[i]);
        trt_channel_destroy(&channels[i]);
    }
    for (int n = 0; n < 2; n++) {
        sleeper_destroy(&sleepers[n]);
    }
}

/* ---- one thread plays all, step by step, beside a simple model ------------------- */

enum { PLAYERS = 6, LONGEST = 256 };

enum state { IDLE, WAITING, SERVED, ABANDONED };

struct player {
    struct select select;
    struct sleeper sleeper;
    enum state state;
    void *value; /* what the node must have got when it is SERVED */
};

/* All items in order: those that are held, then those of players that wait. */
struct lane {
    struct {
        void *item;
        struct player *putter; /* NULL: held */
    } line[LONGEST];
    size_t length, held;
    struct player *getters[PLAYERS];
    size_t getter_count;
    uint64_t capacity;
    bool closed;
};

struct play {
    trt_channel channels[CHANNELS];
    struct lane lanes[CHANNELS];
    struct player players[PLAYERS];
    size_t next; /* item */
    size_t got, put, refused;
    uint64_t random;
};

static void
line_remove(struct lane *lane, size_t index)
{
    lane->held -= lane->line[index].putter == NULL;
    lane->length--;
    memmove(&lane->line[index], &lane->line[index + 1],
            (lane->length - index) * sizeof lane->line[0]);
}

static void
line_insert(struct lane *lane, size_t index, void *item, struct player *putter)
{
    CHECK(lane->length < LONGEST);
    memmove(&lane->line[index + 1], &lane->line[index],
            (lane->length - index) * sizeof lane->line[0]);
    lane->line[index].item = item;
    lane->line[index].putter = putter;
    lane->held += putter == NULL;
    lane->length++;
}

/* The player does not wait any more. */
static void
model_forget(struct play *play, const struct player *p)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        struct lane *lane = &play->lanes[i];
        for (size_t n = lane->length; n > 0; n--) {
            if (lane->line[n - 1].putter == p) {
                line_remove(lane, n - 1);
            }
        }
        size_t kept = 0;
        for (size_t n = 0; n < lane->getter_count; n++) {
            if (lane->getters[n] != p) {
                lane->getters[kept++] = lane->getters[n];
            }
        }
        lane->getter_count = kept;
    }
}

static void
model_serve(struct play *play, struct player *p, size_t at, void *value)
{
    CHECK_EQ(p->state, WAITING);
    p->state = SERVED;
    p->select.at = at;
    p->value = value;
    model_forget(play, p);
    if (p->select.is_put) {
        *(value == NULL ? &play->put : &play->refused) += 1;
    } else {
        play->got += value != NULL;
    }
}

/* Held from now on, as the oldest or the newest of those, or handed over. */
static void
model_accept(struct play *play, size_t at, void *item, bool oldest)
{
    struct lane *lane = &play->lanes[at];
    if (lane->getter_count > 0) {
        model_serve(play, lane->getters[0], at, item);
    } else {
        line_insert(lane, oldest ? 0 : lane->held, item, NULL);
    }
}

static trt_channel_result
model_put(struct play *play, size_t at, void *item)
{
    const struct lane *lane = &play->lanes[at];
    if (lane->closed) {
        return TRT_CHANNEL_CLOSED;
    }
    if (lane->getter_count == 0 && lane->held >= lane->capacity) {
        return TRT_CHANNEL_MUST_WAIT;
    }
    model_accept(play, at, item, false);
    return TRT_CHANNEL_DONE;
}

static trt_channel_result
model_get(struct play *play, size_t at, void **item)
{
    struct lane *lane = &play->lanes[at];
    if (lane->length == 0) {
        return lane->closed ? TRT_CHANNEL_CLOSED : TRT_CHANNEL_MUST_WAIT;
    }
    *item = lane->line[0].item;
    struct player *putter = lane->line[0].putter;
    if (putter != NULL) {
        model_serve(play, putter, at, NULL);
        return TRT_CHANNEL_DONE;
    }
    line_remove(lane, 0);
    if (lane->held < lane->capacity && lane->held < lane->length) {
        putter = lane->line[lane->held].putter;
        void *const next = lane->line[lane->held].item;
        model_serve(play, putter, at, NULL);
        line_insert(lane, lane->held, next, NULL);
    }
    return TRT_CHANNEL_DONE;
}

static void
play_begin(struct play *play, struct player *p)
{
    struct select *s = &p->select;
    void *expected = NULL;
    s->where = 1 + (unsigned)check_random(&play->random, (1 << CHANNELS) - 1);
    s->is_put = check_random(&play->random, 2);
    s->item = s->is_put ? (void *)(uintptr_t)(1000 + play->next++) : NULL;
    trt_channel_result result = s->is_put ? TRT_CHANNEL_MUST_WAIT : TRT_CHANNEL_CLOSED;
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            const trt_channel_result here =
                s->is_put ? model_put(play, i, s->item) : model_get(play, i, &expected);
            if (here == TRT_CHANNEL_DONE || (here == TRT_CHANNEL_CLOSED && s->is_put)) {
                result = here;
                break;
            }
            result = here == TRT_CHANNEL_MUST_WAIT ? here : result;
        }
    }
    CHECK_EQ(select_begin(s), result);
    play->put += s->is_put && result == TRT_CHANNEL_DONE;
    play->refused += s->is_put && result == TRT_CHANNEL_CLOSED;
    if (!s->is_put && result == TRT_CHANNEL_DONE) {
        CHECK(s->item == expected);
        play->got++;
    }
    if (result != TRT_CHANNEL_MUST_WAIT) {
        return;
    }
    p->state = WAITING;
    for (size_t i = 0; i < CHANNELS; i++) {
        struct lane *lane = &play->lanes[i];
        if (!(s->where >> i & 1) || lane->closed) {
            continue;
        }
        if (s->is_put) {
            line_insert(lane, lane->length, s->item, p);
        } else {
            lane->getters[lane->getter_count++] = p;
        }
    }
}

static void
play_close(struct play *play, size_t at)
{
    struct lane *lane = &play->lanes[at];
    CHECK_EQ(trt_channel_close(&play->channels[at]), !lane->closed);
    lane->closed = true;
    while (lane->getter_count > 0) {
        model_serve(play, lane->getters[0], at, NULL);
    }
    while (lane->length > lane->held) {
        model_serve(play, lane->line[lane->held].putter, at, trt_channel_refused);
    }
}

static void
play_abandon(struct play *play, struct player *p)
{
    CHECK(sleeper_cancel(&p->sleeper));
    p->state = ABANDONED;
    model_forget(play, p);
    play->refused += p->select.is_put;
}

static void
play_step(struct play *play)
{
    struct player *p = &play->players[check_random(&play->random, PLAYERS)];
    switch (p->state) {
    case IDLE:
        if (!p->select.is_put && p->select.item != NULL &&
            check_random(&play->random, 4) == 0) {
            const size_t at = check_random(&play->random, CHANNELS);
            model_accept(play, at, p->select.item, true);
            CHECK(trt_channel_put_back(&play->channels[at], p->select.item));
            p->select.item = NULL;
            play->got--;
        } else {
            play_begin(play, p);
        }
        break;
    case WAITING:
        if (check_random(&play->random, 8) == 0) {
            play_abandon(play, p);
        } else if (check_random(&play->random, 64) == 0) {
            play_close(play, check_random(&play->random, CHANNELS));
        }
        break;
    case SERVED:
    case ABANDONED:
        sleeper_end(&p->sleeper);
        select_finish(&p->select, p->state == SERVED);
        p->state = IDLE;
        break;
    }
}

static void
play_check(struct play *play)
{
    for (size_t i = 0; i < PLAYERS; i++) {
        const struct player *p = &play->players[i];
        if (p->state != IDLE) {
            CHECK_EQ(sleeper_is_woken(&p->sleeper), p->state == SERVED);
        }
        for (size_t n = 0; n < CHANNELS && p->state == SERVED; n++) {
            CHECK_EQ(p->select.nodes[n].served, n == p->select.at);
            CHECK(n != p->select.at || p->select.nodes[n].value == p->value);
        }
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        CHECK_EQ(trt_channel_count(&play->channels[i]), play->lanes[i].held);
        CHECK_EQ(trt_channel_is_closed(&play->channels[i]), play->lanes[i].closed);
    }
}

static void
play_end(struct play *play)
{
    size_t left = 0;
    for (size_t i = 0; i < PLAYERS; i++) {
        struct player *p = &play->players[i];
        if (p->state == WAITING) {
            play_abandon(play, p);
        }
        if (p->state != IDLE) {
            sleeper_end(&p->sleeper);
            select_finish(&p->select, p->state == SERVED);
        }
        sleeper_destroy(&p->sleeper);
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        struct drops drops = {.channel = &play->channels[i]};
        if (play->lanes[i].held <= 64) {
            CHECK_EQ(trt_channel_clear(&play->channels[i], note_drop, &drops),
                     play->lanes[i].held);
        }
        for (size_t n = 0; n < drops.count; n++) {
            CHECK((void *)drops.dropped[n] == play->lanes[i].line[n].item);
        }
        left += drops.count;
        trt_channel_destroy(&play->channels[i]);
    }
    CHECK_EQ(play->put, play->got + left);
    CHECK_EQ(play->put + play->refused, play->next);
}

static void
test_random_steps(void)
{
    const uint64_t capacities[] = {0, 1, 3, TRT_CHANNEL_UNBOUNDED};
    for (size_t round = 0; round < 4000 / CHECK_SLOWNESS; round++) {
        static struct play play;
        play = (struct play){.random = check_random_start(round)};
        for (size_t i = 0; i < CHANNELS; i++) {
            play.lanes[i].capacity = capacities[check_random(&play.random, 4)];
            trt_channel_init(&play.channels[i], play.lanes[i].capacity);
        }
        for (size_t i = 0; i < PLAYERS; i++) {
            struct player *p = &play.players[i];
            sleeper_init(&p->sleeper);
            p->select =
                (struct select){.sleeper = &p->sleeper, .channels = play.channels};
        }
        for (uint64_t n = check_random(&play.random, 300); n > 0; n--) {
            play_step(&play);
            play_check(&play);
        }
        play_end(&play);
    }
}

/* ---- threads --------------------------------------------------------------------- */

struct race {
    uint64_t capacity;
    unsigned producers, consumers;
    size_t each;       /* items of a producer */
    unsigned channels; /* that are used */
    bool patient;      /* nobody gives up */
    bool puts_back;    /* consumers put some items back */
    bool closes;       /* at any moment; else when all is put */
    bool leaves;       /* consumers go away at any moment; then it also closes */
    trt_channel channel[CHANNELS];
    struct items items;
    struct dormitory guests; /* producers, then consumers */
    struct check_gate gate;
    _Atomic(unsigned) producing;
    _Atomic(size_t) refused, abandoned, put_back;
};

/* Put or get, waiting if need be. MUST_WAIT: it was abandoned. */
static trt_channel_result
exchange(struct race *race, struct sleeper *sleeper, bool is_put, void **item,
         uint64_t *random)
{
    struct select s = {.sleeper = sleeper,
                       .channels = race->channel,
                       .where = (1u << race->channels) - 1,
                       .is_put = is_put,
                       .item = *item};
    trt_channel_result result;
    if (race->channels == 1) { /* the short form */
        sleeper_begin(sleeper);
        for (size_t i = 0; i < CHANNELS; i++) {
            trt_wait_node_init(&s.nodes[i], &sleeper->waiter, NULL);
        }
        result = is_put ? trt_channel_put(&race->channel[0], s.item, &s.nodes[0])
                        : trt_channel_get(&race->channel[0], &s.item, &s.nodes[0]);
        if (result != TRT_CHANNEL_MUST_WAIT) {
            sleeper_end(sleeper);
        }
    } else {
        if (is_put && check_random(random, 2)) {
            s.where = 1u << check_random(random, race->channels);
        }
        result = select_begin(&s);
    }
    if (result == TRT_CHANNEL_MUST_WAIT) {
        const bool woken = sleeper_wait(
            sleeper, race->patient ? TRT_FOREVER : sleeper_patience(random));
        result = select_finish(&s, woken);
        trt_fetch_add_relaxed(&race->abandoned, !woken);
    }
    *item = s.item;
    return result;
}

static void
close_all(struct race *race)
{
    for (unsigned i = 0; i < race->channels; i++) {
        trt_channel_close(&race->channel[i]);
    }
}

static void
produce(struct race *race, unsigned number, uint64_t *random)
{
    for (size_t i = 0; i < race->each; i++) {
        void *const item = items_make(&race->items, number * race->each + i);
        trt_channel_result result;
        do {
            void *offered = item;
            result = exchange(race, &race->guests.beds[number], true, &offered, random);
            CHECK(offered == item);
        } while (result == TRT_CHANNEL_MUST_WAIT);
        if (result == TRT_CHANNEL_CLOSED) {
            items_take(&race->items, item); /* it is the producer's still */
            trt_fetch_add_relaxed(&race->refused, 1);
        } else {
            CHECK_EQ(result, TRT_CHANNEL_DONE);
        }
        check_delay(random, 20);
    }
    if (trt_fetch_sub_acq_rel(&race->producing, 1) == 1) {
        close_all(race);
    }
}

static void
consume(struct race *race, unsigned number, uint64_t *random)
{
    const bool ordered =
        race->channels == 1 && !(race->puts_back && race->consumers > 1);
    size_t next[CHECK_MOST_THREADS] = {0};
    size_t most = race->leaves ? check_random(random, race->each) : SIZE_MAX;
    for (;;) {
        void *item = NULL;
        const trt_channel_result result =
            exchange(race, &race->guests.beds[number], false, &item, random);
        if (result == TRT_CHANNEL_CLOSED) {
            return;
        }
        if (result == TRT_CHANNEL_MUST_WAIT) {
            continue;
        }
        if (race->puts_back && check_random(random, 8) == 0) {
            trt_fetch_add_relaxed(&race->put_back, 1);
            CHECK(trt_channel_put_back(
                &race->channel[check_random(random, race->channels)], item));
            continue;
        }
        const size_t index = items_index(&race->items, item);
        if (ordered) {
            CHECK(index % race->each >= next[index / race->each]);
            next[index / race->each] = index % race->each + 1;
        }
        items_take(&race->items, item);
        if (most-- == 0) {
            return;
        }
        check_delay(random, 20);
    }
}

/* When so many items have been taken, or somebody has left. */
static void
wait_for_the_moment(struct race *race, uint64_t *random)
{
    const size_t items = check_random(random, race->items.count);
    unsigned turns = 0;
    while (trt_load_relaxed(&race->items.taken) < items &&
           trt_load_relaxed(&race->guests.busy) == race->guests.count) {
        check_spin(&turns);
    }
    check_delay(random, 100);
}

static void
take_part(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number + race->each);
    check_gate_pass(&race->gate);
    if (number < race->producers) {
        produce(race, number, &random);
    } else if (number < race->guests.count) {
        consume(race, number, &random);
    } else if (number == race->guests.count) {
        dormitory_disturb(&race->guests, &random);
        return;
    } else {
        wait_for_the_moment(race, &random);
        close_all(race);
        return;
    }
    dormitory_leave(&race->guests);
}

static void
take_left_item(void *item, void *arg)
{
    items_take(arg, item);
}

static void
run_race(struct race *race)
{
    const unsigned guests = race->producers + race->consumers;
    const unsigned threads = guests + !race->patient + race->closes;
    size_t left = 0;
    CHECK(!race->closes || !race->patient); /* the numbers of the threads */
    race->gate.count = threads;
    trt_store_relaxed(&race->producing, race->producers);
    items_init(&race->items, race->producers * race->each);
    dormitory_open(&race->guests, guests);
    for (unsigned i = 0; i < CHANNELS; i++) {
        trt_channel_init(&race->channel[i], race->capacity);
    }
    check_run_threads(threads, take_part, race);
    for (unsigned i = 0; i < CHANNELS; i++) {
        left += trt_channel_clear(&race->channel[i], take_left_item, &race->items);
        trt_channel_destroy(&race->channel[i]);
    }
    CHECK(left == 0 || race->leaves);
    CHECK(trt_load_relaxed(&race->refused) == 0 || race->closes);
    dormitory_close(&race->guests);
    items_finish(&race->items);
}

static const uint64_t race_capacities[] = {0, 1, 3, TRT_CHANNEL_UNBOUNDED};

static void
test_one_to_one(void)
{
    for (int i = 0; i < 4; i++) {
        struct race race = {.capacity = race_capacities[i],
                            .producers = 1,
                            .consumers = 1,
                            .channels = 1,
                            .each = 20000 / CHECK_SLOWNESS,
                            .patient = true};
        run_race(&race);
    }
}

static void
test_stampede(void)
{
    for (int i = 0; i < 4; i++) {
        struct race race = {.capacity = race_capacities[i],
                            .producers = i == 0 ? 7 : 4,
                            .consumers = i == 0 ? 1 : 4,
                            .channels = 1,
                            .each = 2000 / CHECK_SLOWNESS,
                            .patient = true};
        run_race(&race);
    }
}

static void
test_stress(void)
{
    for (unsigned each_side = 1; each_side <= 4; each_side *= 2) {
        for (int i = 0; i < 8; i++) {
            struct race race = {.capacity = race_capacities[i % 4],
                                .producers = each_side,
                                .consumers = each_side,
                                .channels = 1,
                                .each = 4000 / each_side / CHECK_SLOWNESS,
                                .puts_back = i >= 4};
            run_race(&race);
            CHECK_EQ(trt_load_relaxed(&race.put_back) > 0, i >= 4);
        }
    }
}

static void
test_stress_at_several_channels(void)
{
    for (unsigned each_side = 1; each_side <= 4; each_side *= 2) {
        for (int i = 0; i < 8; i++) {
            struct race race = {.capacity = race_capacities[i % 4],
                                .producers = each_side,
                                .consumers = each_side,
                                .channels = CHANNELS,
                                .each = 4000 / each_side / CHECK_SLOWNESS,
                                .patient = i < 4,
                                .puts_back = i == 7};
            run_race(&race);
        }
    }
}

static void
test_close_at_any_moment(void)
{
    size_t refused = 0, put = 0;
    for (int i = 0; i < 400 / CHECK_SLOWNESS; i++) {
        struct race race = {.capacity = race_capacities[i % 4],
                            .producers = 2,
                            .consumers = 2,
                            .channels = i % 8 < 4 ? 1 : 2,
                            .each = 50,
                            .puts_back = i % 3 == 0,
                            .closes = true,
                            .leaves = i / 8 % 2 == 1};
        run_race(&race);
        refused += trt_load_relaxed(&race.refused);
        put += 2 * race.each;
    }
    printf("  %zu of %zu refused\n", refused, put);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_holds_as_many_as_its_capacity);
    RUN(test_order_lasts_when_the_ring_wraps_and_grows);
    RUN(test_getters_are_served_in_the_order_of_arrival);
    RUN(test_putters_are_served_in_the_order_of_arrival);
    RUN(test_abandoned_getter_gets_nothing);
    RUN(test_abandoned_putter_keeps_its_item);
    RUN(test_put_back_is_the_oldest);
    RUN(test_put_back_goes_to_who_waits);
    RUN(test_putters_wait_while_more_is_held_than_there_is_room);
    RUN(test_close_refuses_puts_and_lets_the_rest_be_got);
    RUN(test_close_wakes_getters_with_nothing);
    RUN(test_clear_takes_out_all_in_order);
    RUN(test_waiter_at_several_channels_is_served_at_one);
    RUN(test_two_that_wait_at_several_channels_meet_once);
    RUN(test_random_steps);
    RUN(test_one_to_one);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_stress_at_several_channels);
    RUN(test_close_at_any_moment);
    return check_end();
}
