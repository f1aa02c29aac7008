/* Each item that is put is got once, in order, or stays with who wanted to put it. */
#include "select.h"

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

static int
expect_next(void *item, void *arg)
{
    int **const next = arg;
    CHECK(item == (*next)++);
    return item == &things[5] ? 7 : 0;
}

static void
test_visit_sees_all_in_order_until_told_to_stop(void)
{
    trt_channel c;
    int *next = &things[0];
    trt_channel_init(&c, 20);
    CHECK_EQ(trt_channel_visit(&c, expect_next, &next), 0);
    for (int n = 0; n < 6; n++) {
        check_put(&c, &things[60]);
        check_get(&c, &things[60]); /* so that what follows wraps */
    }
    for (int n = 0; n < 5; n++) {
        check_put(&c, &things[n]);
    }
    CHECK_EQ(trt_channel_visit(&c, expect_next, &next), 0);
    CHECK(next == &things[5]);
    check_put(&c, &things[5]);
    check_put(&c, &things[6]);
    next = &things[0];
    CHECK_EQ(trt_channel_visit(&c, expect_next, &next), 7);
    CHECK(next == &things[6]);
    for (int n = 0; n < 7; n++) {
        check_get(&c, &things[n]);
    }
    trt_channel_destroy(&c);
}

/* ---- several channels at once ---------------------------------------------------- */

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

/* One that would put or get waits with a node on each side. */
static void
wait_for_either(trt_channel *c, struct sleeper *s, trt_wait_node nodes[2])
{
    sleeper_begin(s);
    trt_channel_lock(c);
    for (int is_put = 0; is_put < 2; is_put++) {
        trt_wait_node_init(&nodes[is_put], &s->waiter, NULL);
        trt_channel_queue_locked(c, is_put, is_put ? &things[1] : NULL, &nodes[is_put]);
        CHECK(nodes[is_put].queued);
    }
    trt_channel_unlock(c);
    CHECK(!sleeper_is_woken(s));
}

/* It was served by another that put (or got), and on one side only. */
static void
check_served_once(trt_channel *c, struct sleeper *s, trt_wait_node nodes[2], bool put)
{
    CHECK(sleeper_is_woken(s));
    sleeper_end(s);
    CHECK_EQ(nodes[1].served, put);
    CHECK_EQ(nodes[0].served, !put);
    check_empty(c);
    CHECK_EQ(trt_channel_put(c, &things[3], NULL), TRT_CHANNEL_MUST_WAIT);
    trt_channel_leave(c, &nodes[put ? 0 : 1], !put);
    CHECK(!nodes[0].queued && !nodes[1].queued);
}

static void
test_who_would_put_or_get_meets_others_and_not_itself(void)
{
    trt_channel c;
    struct sleeper s;
    trt_wait_node nodes[2];
    trt_channel_init(&c, 0);
    sleeper_init(&s);
    wait_for_either(&c, &s, nodes);
    check_get(&c, &things[1]);
    CHECK(nodes[1].value == NULL);
    check_served_once(&c, &s, nodes, true);
    wait_for_either(&c, &s, nodes);
    check_put(&c, &things[2]);
    CHECK(nodes[0].value == &things[2]);
    check_served_once(&c, &s, nodes, false);
    wait_for_either(&c, &s, nodes);
    CHECK(trt_channel_close(&c));
    CHECK(sleeper_is_woken(&s));
    sleeper_end(&s);
    CHECK(nodes[0].served && !nodes[1].served && !nodes[1].queued);
    trt_channel_destroy(&c);
    sleeper_destroy(&s);
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
    RUN(test_visit_sees_all_in_order_until_told_to_stop);
    RUN(test_waiter_at_several_channels_is_served_at_one);
    RUN(test_two_that_wait_at_several_channels_meet_once);
    RUN(test_who_would_put_or_get_meets_others_and_not_itself);
    return check_end();
}
