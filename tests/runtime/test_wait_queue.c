/* Each node is served once or was abandoned, and the oldest are served first. */
#include "sleeper.h"

static void
open_guests(struct guest *guests, size_t count)
{
    guests_init(guests, count);
    for (size_t i = 0; i < count; i++) {
        guest_begin(&guests[i]);
    }
}

static void
close_guests(struct guest *guests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sleeper_end(&guests[i].sleeper);
    }
    guests_destroy(guests, count);
}

/* The queue has these nodes, forward and backward. */
static void
check_order(const trt_wait_queue *q, const struct guest *guests, const size_t *order,
            size_t count)
{
    const trt_wait_node *node = q->head, *previous = NULL;
    for (size_t i = 0; i < count; i++) {
        CHECK(node == &guests[order[i]].node);
        CHECK(node->queued);
        CHECK(node->previous == previous);
        previous = node;
        node = node->next;
    }
    CHECK(node == NULL);
    CHECK(q->tail == previous);
    CHECK_EQ(trt_wait_queue_is_empty(q), count == 0);
}

static void
test_smoke(void)
{
    enum { COUNT = 3 };
    struct guest guests[COUNT];
    const size_t order[] = {0, 1, 2};
    trt_wait_queue q = {NULL, NULL, 0};
    open_guests(guests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_append(&q, &guests[i].node);
        check_order(&q, guests, order, i + 1);
    }
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_node *node = trt_wait_queue_claim(&q);
        CHECK(node == &guests[i].node);
        CHECK(node->served && !node->queued && node->next == NULL);
        CHECK(!sleeper_is_woken(&guests[i].sleeper));
        CHECK(!sleeper_cancel(&guests[i].sleeper)); /* it was decided */
        trt_wait_nodes_wake(node);
        CHECK(sleeper_is_woken(&guests[i].sleeper));
        check_order(&q, guests, order + i + 1, COUNT - 1 - i);
    }
    close_guests(guests, COUNT);
}

static void
test_empty(void)
{
    static trt_wait_queue q; /* zeroed is initialised */
    CHECK(trt_wait_queue_is_empty(&q));
    CHECK(trt_wait_queue_claim(&q) == NULL);
    CHECK(trt_wait_queue_claim_all(&q) == NULL);
    trt_wait_nodes_wake(NULL);
}

static void
test_new_node_is_in_no_queue(void)
{
    int value;
    trt_waiter waiter;
    trt_wait_node node;
    memset(&node, 0xff, sizeof node);
    trt_wait_node_init(&node, &waiter, &value);
    CHECK(node.waiter == &waiter && node.value == &value);
    CHECK(!node.queued && !node.served && !node.lost);
    trt_wait_queue q = {NULL, NULL, 0};
    trt_wait_queue_remove(&q, &node);
    CHECK(trt_wait_queue_is_empty(&q));
}

static void
test_removed_is_not_served_and_the_rest_keep_their_order(void)
{
    enum { COUNT = 5 };
    struct guest guests[COUNT];
    const size_t order[] = {1, 3};
    trt_wait_queue q = {NULL, NULL, 0};
    open_guests(guests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_append(&q, &guests[i].node);
    }
    trt_wait_queue_remove(&q, &guests[2].node); /* from within, */
    trt_wait_queue_remove(&q, &guests[0].node); /* the first, */
    trt_wait_queue_remove(&q, &guests[4].node); /* the last, */
    trt_wait_queue_remove(&q, &guests[4].node); /* one that is out */
    check_order(&q, guests, order, 2);
    guests[2].node.place = 0;
    trt_wait_queue_append(&q, &guests[2].node); /* and in again, as one that is new */
    CHECK(trt_wait_queue_claim(&q) == &guests[1].node);
    CHECK(trt_wait_queue_claim(&q) == &guests[3].node);
    trt_wait_queue_remove(&q, &guests[2].node); /* the only one */
    check_order(&q, guests, order, 0);
    CHECK(!guests[2].node.served);
    CHECK(sleeper_cancel(&guests[2].sleeper)); /* it was not decided */
    close_guests(guests, COUNT);
}

static void
test_claim_takes_abandoned_nodes_out_and_does_not_serve_them(void)
{
    enum { COUNT = 4 };
    struct guest guests[COUNT];
    trt_wait_queue q = {NULL, NULL, 0};
    open_guests(guests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_append(&q, &guests[i].node);
    }
    CHECK(sleeper_cancel(&guests[0].sleeper));
    CHECK(sleeper_cancel(&guests[1].sleeper));
    CHECK(sleeper_cancel(&guests[3].sleeper));
    CHECK(trt_wait_queue_claim(&q) == &guests[2].node);
    CHECK(!guests[0].node.queued && !guests[1].node.queued);
    CHECK(guests[3].node.queued);
    CHECK(trt_wait_queue_claim(&q) == NULL);
    CHECK(trt_wait_queue_is_empty(&q));
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_remove(&q, &guests[i].node); /* as their owners do */
        CHECK_EQ(guests[i].node.served, i == 2);
    }
    close_guests(guests, COUNT);
}

static void
test_claim_all_serves_all_in_order(void)
{
    enum { COUNT = 5 };
    struct guest guests[COUNT];
    const size_t order[] = {0, 2, 3};
    trt_wait_queue q = {NULL, NULL, 0};
    open_guests(guests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_append(&q, &guests[i].node);
    }
    CHECK(sleeper_cancel(&guests[1].sleeper));
    CHECK(sleeper_cancel(&guests[4].sleeper)); /* the chain ends before it */
    trt_wait_node *first = trt_wait_queue_claim_all(&q);
    CHECK(trt_wait_queue_is_empty(&q));
    const trt_wait_node *node = first;
    for (size_t i = 0; i < 3; i++) {
        CHECK(node == &guests[order[i]].node);
        CHECK(node->served && !node->queued);
        node = node->next;
    }
    CHECK(node == NULL);
    trt_wait_nodes_wake(first);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_EQ(sleeper_is_woken(&guests[i].sleeper), i != 1 && i != 4);
    }
    close_guests(guests, COUNT);
}

static void
test_waiter_in_several_queues_is_served_in_one(void)
{
    enum { QUEUES = 3 };
    struct guest other;
    struct sleeper sleeper;
    trt_wait_node nodes[QUEUES];
    trt_wait_queue queues[QUEUES] = {{NULL, NULL, 0}};
    open_guests(&other, 1);
    sleeper_init(&sleeper);
    sleeper_begin(&sleeper);
    for (size_t i = 0; i < QUEUES; i++) {
        trt_wait_node_init(&nodes[i], &sleeper.waiter, NULL);
        trt_wait_queue_append(&queues[i], &nodes[i]);
    }
    trt_wait_queue_append(&queues[0], &other.node);
    trt_wait_node *node = trt_wait_queue_claim(&queues[1]);
    CHECK(node == &nodes[1]);
    CHECK(trt_wait_queue_claim(&queues[0]) == &other.node);
    CHECK(trt_wait_queue_claim_all(&queues[2]) == NULL);
    trt_wait_nodes_wake(node);
    for (size_t i = 0; i < QUEUES; i++) {
        CHECK_EQ(nodes[i].served, i == 1);
        CHECK(!nodes[i].queued);
    }
    sleeper_end(&sleeper);
    sleeper_destroy(&sleeper);
    close_guests(&other, 1);
}

/* A waiter whose node goes with it when it is woken. */
struct shooting_star {
    trt_waiter waiter;
    trt_wait_node node;
};

static void
burn_up(trt_waiter *w)
{
    free(w);
}

static void
test_destruction_of_nodes_by_their_wake_up(void)
{
    trt_wait_queue q = {NULL, NULL, 0};
    for (int i = 0; i < 3; i++) {
        struct shooting_star *star = malloc(sizeof *star);
        CHECK(star != NULL);
        trt_waiter_init(&star->waiter, burn_up);
        trt_wait_node_init(&star->node, &star->waiter, NULL);
        trt_wait_queue_append(&q, &star->node);
    }
    trt_wait_nodes_wake(trt_wait_queue_claim(&q));
    trt_wait_nodes_wake(trt_wait_queue_claim_all(&q));
}

/* A queue and what guards it. */
struct post {
    trt_mutex lock;
    trt_wait_queue queue;
};

enum { POSTS = 3 };

struct race {
    struct post posts[POSTS];
    struct dormitory guests;
    struct check_gate gate;
    size_t rounds;
    _Atomic(size_t) served, abandoned, claimed;
};

/* Queue at one post, or at several. True: served. */
static bool
wait_once(struct race *race, struct sleeper *sleeper, uint64_t *random)
{
    trt_wait_node nodes[POSTS];
    size_t served = 0;
    const uint64_t where = 1 + check_random(random, (1 << POSTS) - 1);
    sleeper_begin(sleeper);
    for (size_t i = 0; i < POSTS; i++) {
        trt_wait_node_init(&nodes[i], &sleeper->waiter, NULL);
        if (where >> i & 1) {
            struct post *post = &race->posts[i];
            trt_mutex_lock(&post->lock);
            if (check_random(random, 4) == 0) {
                nodes[i].place = 1; /* as one that was there before almost all */
            }
            trt_wait_queue_append(&post->queue, &nodes[i]);
            trt_mutex_unlock(&post->lock);
        }
    }
    const bool woken = sleeper_wait(sleeper, sleeper_patience(random));
    for (size_t i = 0; i < POSTS; i++) {
        trt_mutex_lock(&race->posts[i].lock);
        trt_wait_queue_remove(&race->posts[i].queue, &nodes[i]);
        trt_mutex_unlock(&race->posts[i].lock);
        CHECK_EQ(nodes[i].value == race, nodes[i].served);
        CHECK(!nodes[i].served || (where >> i & 1));
        served += nodes[i].served;
    }
    CHECK_EQ(served, woken);
    return woken;
}

static size_t
serve_some(struct race *race, uint64_t *random)
{
    struct post *post = &race->posts[check_random(random, POSTS)];
    size_t claimed = 0;
    trt_mutex_lock(&post->lock);
    trt_wait_node *first = check_random(random, 4) == 0
                               ? trt_wait_queue_claim_all(&post->queue)
                               : trt_wait_queue_claim(&post->queue);
    for (trt_wait_node *node = first; node != NULL; node = node->next) {
        node->value = race;
        claimed++;
    }
    trt_mutex_unlock(&post->lock);
    trt_wait_nodes_wake(first);
    return claimed;
}

/* Threads below the number of guests wait, the last cancels, the others serve. */
static void
take_part(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number);
    size_t served = 0, claimed = 0;
    check_gate_pass(&race->gate);
    if (number < race->guests.count) {
        for (size_t i = 0; i < race->rounds; i++) {
            served += wait_once(race, &race->guests.beds[number], &random);
        }
        dormitory_leave(&race->guests);
        trt_fetch_add_relaxed(&race->served, served);
        trt_fetch_add_relaxed(&race->abandoned, race->rounds - served);
    } else if (number + 1 == race->gate.count) {
        dormitory_disturb(&race->guests, &random);
    } else {
        while (dormitory_is_busy(&race->guests)) {
            const size_t some = serve_some(race, &random);
            claimed += some;
            if (some == 0) {
                trt_thread_yield();
            }
        }
        trt_fetch_add_relaxed(&race->claimed, claimed);
    }
}

static void
check_race(unsigned guests, unsigned servers, size_t rounds)
{
    struct race race = {.gate = {.count = guests + servers + 1}, .rounds = rounds};
    dormitory_open(&race.guests, guests);
    for (size_t i = 0; i < POSTS; i++) {
        trt_mutex_init(&race.posts[i].lock);
    }
    check_run_threads(guests + servers + 1, take_part, &race);
    const size_t served = trt_load_relaxed(&race.served);
    printf("  %zu served, %zu abandoned\n", served, trt_load_relaxed(&race.abandoned));
    CHECK_EQ(served, trt_load_relaxed(&race.claimed));
    for (size_t i = 0; i < POSTS; i++) {
        CHECK(trt_wait_queue_is_empty(&race.posts[i].queue));
        trt_mutex_destroy(&race.posts[i].lock);
    }
    dormitory_close(&race.guests);
}

static void
test_one_to_one(void)
{
    check_race(1, 1, 20000 / CHECK_SLOWNESS);
}

static void
test_one_to_many(void)
{
    check_race(6, 1, 5000 / CHECK_SLOWNESS);
}

static void
test_stress(void)
{
    check_race(2, 2, 10000 / CHECK_SLOWNESS);
    check_race(4, 4, 5000 / CHECK_SLOWNESS);
}

/* Each in turn is interrupted and comes again, as a new node that has its place. */
static void
test_who_comes_again_keeps_its_place(void)
{
    enum { COUNT = 5 };
    struct guest guests[COUNT];
    const size_t order[] = {0, 1, 2, 3, 4};
    trt_wait_queue q = {0};
    open_guests(guests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_append(&q, &guests[i].node);
    }
    for (size_t first = 0; first < COUNT; first++) {
        for (size_t second = 0; second < COUNT; second++) {
            const size_t again[] = {first, second};
            for (int i = 0; i < 2; i++) {
                trt_wait_queue_remove(&q, &guests[again[i]].node);
            }
            for (int i = 0; i < (first == second ? 1 : 2); i++) {
                struct guest *const g = &guests[again[i]];
                const uint64_t place = g->node.place;
                trt_wait_node_init(&g->node, &g->sleeper.waiter, g);
                g->node.place = place;
                trt_wait_queue_append(&q, &g->node);
                CHECK_EQ(g->node.place, place);
            }
            check_order(&q, guests, order, COUNT);
        }
    }
    trt_wait_nodes_wake(trt_wait_queue_claim_all(&q));
    close_guests(guests, COUNT);
}

static void
test_count_leaves_out_who_is_decided(void)
{
    enum { COUNT = 3 };
    struct guest guests[COUNT];
    trt_wait_queue q = {NULL, NULL, 0};
    open_guests(guests, COUNT);
    CHECK_EQ(trt_wait_queue_count(&q), 0);
    for (size_t i = 0; i < COUNT; i++) {
        trt_wait_queue_append(&q, &guests[i].node);
        CHECK_EQ(trt_wait_queue_count(&q), i + 1);
    }
    CHECK(sleeper_cancel(&guests[1].sleeper));
    CHECK_EQ(trt_wait_queue_count(&q), 2);
    trt_wait_nodes_wake(trt_wait_queue_claim(&q));
    CHECK_EQ(trt_wait_queue_count(&q), 1);
    trt_wait_queue_remove(&q, &guests[1].node);
    trt_wait_queue_remove(&q, &guests[2].node);
    CHECK_EQ(trt_wait_queue_count(&q), 0);
    close_guests(guests, COUNT);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_new_node_is_in_no_queue);
    RUN(test_removed_is_not_served_and_the_rest_keep_their_order);
    RUN(test_claim_takes_abandoned_nodes_out_and_does_not_serve_them);
    RUN(test_claim_all_serves_all_in_order);
    RUN(test_waiter_in_several_queues_is_served_in_one);
    RUN(test_destruction_of_nodes_by_their_wake_up);
    RUN(test_who_comes_again_keeps_its_place);
    RUN(test_count_leaves_out_who_is_decided);
    RUN(test_one_to_one);
    RUN(test_one_to_many);
    RUN(test_stress);
    return check_end();
}
