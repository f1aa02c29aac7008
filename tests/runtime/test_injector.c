/* Every item comes out once, in the order of arrival. */
#include "check.h"
#include "items.h"

#include "queue/injector.h"

#include <sys/wait.h>

static void
test_smoke(void)
{
    int a, b, c;
    trt_injector q;
    trt_injector_init(&q);
    CHECK_EQ(trt_injector_push(&q, &a), 0);
    CHECK_EQ(trt_injector_push(&q, &b), 0);
    CHECK(trt_injector_pop(&q) == &a);
    CHECK_EQ(trt_injector_push(&q, &c), 0);
    CHECK_EQ(trt_injector_size(&q), 2);
    CHECK(trt_injector_pop(&q) == &b);
    CHECK(trt_injector_pop(&q) == &c);
    trt_injector_destroy(&q);
}

static void
test_empty(void)
{
    int a;
    trt_injector q;
    trt_injector_init(&q);
    CHECK(trt_injector_pop(&q) == NULL);
    CHECK_EQ(trt_injector_size(&q), 0);
    CHECK_EQ(trt_injector_push(&q, &a), 0);
    CHECK(trt_injector_pop(&q) == &a);
    CHECK(trt_injector_pop(&q) == NULL);
    CHECK_EQ(trt_injector_size(&q), 0);
    trt_injector_destroy(&q);
}

/* Out of turn: only from the two ends. */
static void
test_ends_can_be_removed(void)
{
    int a, b, c;
    trt_injector q;
    trt_injector_init(&q);
    CHECK(!trt_injector_remove(&q, &a));
    CHECK_EQ(trt_injector_push(&q, &a), 0);
    CHECK_EQ(trt_injector_push(&q, &b), 0);
    CHECK_EQ(trt_injector_push(&q, &c), 0);
    CHECK(!trt_injector_remove(&q, &b));
    CHECK(trt_injector_remove(&q, &c));
    CHECK(!trt_injector_remove(&q, &c));
    CHECK(trt_injector_remove(&q, &a));
    CHECK(trt_injector_pop(&q) == &b);
    CHECK_EQ(trt_injector_push(&q, &c), 0);
    CHECK(trt_injector_remove(&q, &c));
    CHECK_EQ(trt_injector_size(&q), 0);
    trt_injector_destroy(&q);
}

static bool
is_zero(void *item)
{
    return *(int *)item == 0;
}

static void
test_oldest_is_taken_if_it_is_unwanted(void)
{
    int items[] = {0, 0, 1, 0};
    trt_injector q;
    trt_injector_init(&q);
    CHECK(trt_injector_pop_if(&q, is_zero) == NULL);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(trt_injector_push(&q, &items[i]), 0);
    }
    CHECK(trt_injector_pop_if(&q, is_zero) == &items[0]);
    CHECK(trt_injector_pop_if(&q, is_zero) == &items[1]);
    CHECK(trt_injector_pop_if(&q, is_zero) == NULL);
    CHECK_EQ(trt_injector_size(&q), 2);
    CHECK(trt_injector_pop(&q) == &items[2]);
    CHECK(trt_injector_pop_if(&q, is_zero) == &items[3]);
    trt_injector_destroy(&q);
}

/* With the oldest item at every place of the ring when it grows. */
static void
test_growth_keeps_items_and_order(void)
{
    enum { COUNT = 5000 };
    static int items[COUNT];
    for (size_t lead = 0; lead < 70; lead++) {
        trt_injector q;
        size_t pushed = 0, popped = 0;
        trt_injector_init(&q);
        for (; pushed < lead; pushed++) {
            CHECK_EQ(trt_injector_push(&q, &items[pushed]), 0);
            CHECK(trt_injector_pop(&q) == &items[popped++]);
        }
        for (; pushed < COUNT; pushed++) {
            CHECK_EQ(trt_injector_push(&q, &items[pushed]), 0);
        }
        CHECK_EQ(trt_injector_size(&q), COUNT - lead);
        while (popped < COUNT) {
            CHECK(trt_injector_pop(&q) == &items[popped++]);
        }
        CHECK(trt_injector_pop(&q) == NULL);
        trt_injector_destroy(&q);
    }
}

struct market {
    trt_injector queue;
    struct items items;
    unsigned producers;
    unsigned consumers;
    struct check_gate start;
};

static void
produce(struct market *market, unsigned number)
{
    const size_t each = market->items.count / market->producers;
    for (size_t i = 0; i < each; i++) {
        struct item *item = items_make(&market->items, number * each + i);
        CHECK_EQ(trt_injector_push(&market->queue, item), 0);
    }
}

/* Items of one producer come to one consumer in their order. */
static void
consume(struct market *market)
{
    size_t next[CHECK_MOST_THREADS] = {0};
    const size_t each = market->items.count / market->producers;
    unsigned turns = 0;
    while (!items_are_all_taken(&market->items)) {
        struct item *item = trt_injector_pop(&market->queue);
        if (item == NULL) {
            check_spin(&turns);
            continue;
        }
        const size_t index = items_index(&market->items, item);
        CHECK(index % each >= next[index / each]);
        next[index / each] = index % each + 1;
        items_take(&market->items, item);
    }
}

static void
trade(unsigned number, void *shared)
{
    struct market *market = shared;
    check_gate_pass(&market->start);
    if (number < market->producers) {
        produce(market, number);
    } else {
        consume(market);
    }
}

static void
check_market(unsigned producers, unsigned consumers, size_t each)
{
    struct market market = {.producers = producers, .consumers = consumers};
    market.start.count = producers + consumers;
    trt_injector_init(&market.queue);
    items_init(&market.items, producers * each);
    check_run_threads(producers + consumers, trade, &market);
    CHECK_EQ(trt_injector_size(&market.queue), 0);
    items_finish(&market.items);
    trt_injector_destroy(&market.queue);
}

static void
test_one_to_one(void)
{
    check_market(1, 1, 200000 / CHECK_SLOWNESS);
}

static void
test_one_to_many(void)
{
    check_market(1, 4, 200000 / CHECK_SLOWNESS);
}

static void
test_stampede(void)
{
    for (int i = 0; i < 200 / CHECK_SLOWNESS; i++) {
        check_market(4, 4, 50);
    }
}

static void
test_stress(void)
{
    check_market(4, 4, 50000 / CHECK_SLOWNESS);
}

static void
test_destruction(void)
{
    int item;
    trt_injector unused, used;
    trt_injector_init(&unused);
    trt_injector_destroy(&unused);
    trt_injector_init(&used);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(trt_injector_push(&used, &item), 0);
    }
    trt_injector_destroy(&used); /* with items, which are not its own */
}

static void
test_child_of_a_fork_has_an_empty_queue(void)
{
    int item;
    trt_injector q;
    trt_injector_init(&q);
    CHECK_EQ(trt_injector_push(&q, &item), 0);
    trt_mutex_lock(&q.lock); /* as if another thread were in the middle of a push */
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        trt_injector_reinit_after_fork(&q);
        CHECK_EQ(trt_injector_size(&q), 0);
        CHECK(trt_injector_pop(&q) == NULL);
        CHECK_EQ(trt_injector_push(&q, &q), 0);
        CHECK(trt_injector_pop(&q) == &q);
        _exit(0);
    }
    trt_mutex_unlock(&q.lock);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(trt_injector_pop(&q) == &item);
    trt_injector_destroy(&q);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_ends_can_be_removed);
    RUN(test_oldest_is_taken_if_it_is_unwanted);
    RUN(test_growth_keeps_items_and_order);
    RUN(test_one_to_one);
    RUN(test_one_to_many);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_destruction);
    RUN(test_child_of_a_fork_has_an_empty_queue);
    return check_end();
}
