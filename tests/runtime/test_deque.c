/* Every item comes out once: at the owner's end the newest, at the thieves' the
 * oldest. */
#include "check.h"
#include "items.h"

#include "queue/deque.h"

#define THIEVES 3

static void
push(trt_deque *d, void *item)
{
    CHECK_EQ(trt_deque_push(d, item), 0);
}

static void *
steal(trt_deque *d)
{
    void *item = NULL;
    return trt_deque_steal(d, &item) == TRT_STEAL_GOT ? item : NULL;
}

static void
test_smoke(void)
{
    int a, b, c;
    trt_deque d;
    CHECK_EQ(trt_deque_init(&d, 4), 0);
    push(&d, &a);
    push(&d, &b);
    push(&d, &c);
    CHECK_EQ(trt_deque_size(&d), 3);
    CHECK(trt_deque_pop(&d) == &c);
    CHECK(steal(&d) == &a);
    CHECK_EQ(trt_deque_size(&d), 1);
    CHECK(trt_deque_pop(&d) == &b);
    CHECK(trt_deque_pop(&d) == NULL);
    trt_deque_destroy(&d);
}

static void
check_is_empty(trt_deque *d, const void *item)
{
    void *untouched = d;
    CHECK_EQ(trt_deque_size(d), 0);
    CHECK(trt_deque_pop(d) == NULL);
    CHECK(!trt_deque_pop_if(d, item));
    CHECK_EQ(trt_deque_steal(d, &untouched), TRT_STEAL_EMPTY);
    CHECK(untouched == d);
}

static void
test_empty(void)
{
    int a;
    trt_deque d;
    CHECK_EQ(trt_deque_init(&d, 1), 0);
    check_is_empty(&d, &a);
    for (int i = 0; i < 5; i++) {
        push(&d, &a);
        CHECK(trt_deque_pop(&d) == &a);
        check_is_empty(&d, &a); /* though the slot still holds &a */
        push(&d, &a);
        CHECK(steal(&d) == &a);
        check_is_empty(&d, &a);
    }
    trt_deque_destroy(&d);
}

static void
test_pop_if_takes_only_the_newest(void)
{
    int a, b;
    trt_deque d;
    CHECK_EQ(trt_deque_init(&d, 4), 0);
    push(&d, &a);
    push(&d, &b);
    CHECK(!trt_deque_pop_if(&d, &a));
    CHECK_EQ(trt_deque_size(&d), 2);
    CHECK(trt_deque_pop_if(&d, &b));
    CHECK(!trt_deque_pop_if(&d, &b));
    CHECK(trt_deque_pop_if(&d, &a));
    CHECK_EQ(trt_deque_size(&d), 0);
    trt_deque_destroy(&d);
}

/* Items at odd addresses are refused by some thieves. */
static void
test_refused_item_stays(void)
{
    static TRT_ALIGNED_TO_LINE char items[4];
    void *plain = &items[0], *marked = &items[1], *got = NULL;
    trt_deque d;
    CHECK_EQ(trt_deque_init(&d, 4), 0);
    CHECK(!trt_deque_offers(&d, 0) && !trt_deque_offers(&d, 1));
    CHECK_EQ(trt_deque_steal_unless(&d, 1, &got), TRT_STEAL_EMPTY);
    push(&d, marked);
    push(&d, plain);
    CHECK(trt_deque_offers(&d, 0) && !trt_deque_offers(&d, 1));
    CHECK_EQ(trt_deque_steal_unless(&d, 1, &got), TRT_STEAL_REFUSED);
    CHECK(got == NULL);
    CHECK_EQ(trt_deque_size(&d), 2);
    CHECK(steal(&d) == marked);
    CHECK(trt_deque_offers(&d, 0) && trt_deque_offers(&d, 1));
    CHECK_EQ(trt_deque_steal_unless(&d, 1, &got), TRT_STEAL_GOT);
    CHECK(got == plain);
    trt_deque_destroy(&d);
}

static void
test_slots_are_used_again_without_growth(void)
{
    int items[2];
    trt_deque d;
    CHECK_EQ(trt_deque_init(&d, 1), 0);
    const trt_deque_slot *slots = d.slots;
    for (int i = 0; i < 1000; i++) {
        push(&d, &items[0]);
        push(&d, &items[1]);
        CHECK(steal(&d) == &items[0]);
        CHECK(i % 2 == 0 ? trt_deque_pop(&d) == &items[1] : steal(&d) == &items[1]);
    }
    CHECK(d.slots == slots);
    trt_deque_destroy(&d);
}

static void
test_growth_keeps_items_and_order(void)
{
    enum { COUNT = 3000 };
    static int items[COUNT];
    trt_deque d;
    CHECK_EQ(trt_deque_init(&d, 1), 0);
    size_t oldest = 0;
    for (size_t i = 0; i < COUNT; i++) {
        push(&d, &items[i]);
        if (i % 3 == 0) { /* so that it also grows with its start in mid-buffer */
            CHECK(steal(&d) == &items[oldest++]);
        }
    }
    CHECK_EQ(trt_deque_size(&d), COUNT - oldest);
    for (size_t i = COUNT; i > oldest + 100; i--) {
        CHECK(trt_deque_pop(&d) == &items[i - 1]);
    }
    for (size_t i = 0; i < 100; i++) {
        CHECK(steal(&d) == &items[oldest + i]);
    }
    CHECK(trt_deque_pop(&d) == NULL);
    trt_deque_destroy(&d);
}

struct race {
    trt_deque deque;
    struct items items;
    struct check_gate start;
    _Atomic(size_t) stolen;
};

/* Steal until every item is somebody's; the oldest come first. */
static void
steal_all(unsigned number, void *shared)
{
    struct race *race = shared;
    size_t least = 0, stolen = 0;
    unsigned turns = 0;
    (void)number;
    check_gate_pass(&race->start);
    while (!items_are_all_taken(&race->items)) {
        void *item = NULL;
        if (trt_deque_steal(&race->deque, &item) == TRT_STEAL_GOT) {
            CHECK(items_index(&race->items, item) >= least);
            least = items_index(&race->items, item);
            items_take(&race->items, item);
            stolen++;
        } else {
            check_spin(&turns);
        }
    }
    trt_fetch_add_relaxed(&race->stolen, stolen);
}

static void
race_init(struct race *race, unsigned log2_capacity, size_t count, unsigned thieves)
{
    CHECK_EQ(trt_deque_init(&race->deque, log2_capacity), 0);
    items_init(&race->items, count);
    race->start = (struct check_gate){.count = thieves + 1};
    atomic_init(&race->stolen, 0);
}

static void
race_finish(struct race *race)
{
    CHECK_EQ(trt_deque_size(&race->deque), 0);
    printf("  %zu of %zu stolen\n", trt_load_relaxed(&race->stolen), race->items.count);
    items_finish(&race->items);
    trt_deque_destroy(&race->deque);
}

/* The owner only pushes. */
static void
check_pushed_items_reach(unsigned thieves)
{
    struct race race;
    struct check_thread threads[CHECK_MOST_THREADS];
    race_init(&race, 1, 400000 / CHECK_SLOWNESS, thieves);
    check_start_threads(threads, thieves, steal_all, &race);
    check_gate_pass(&race.start);
    for (size_t i = 0; i < race.items.count; i++) {
        push(&race.deque, items_make(&race.items, i));
    }
    check_join_threads(threads, thieves);
    race_finish(&race);
}

static void
test_one_to_one(void)
{
    check_pushed_items_reach(1);
}

static void
test_one_to_many(void)
{
    check_pushed_items_reach(THIEVES);
}

static void
pop_all(struct race *race)
{
    void *item;
    while ((item = trt_deque_pop(&race->deque)) != NULL) {
        items_take(&race->items, item);
    }
}

/* Everybody falls upon a full deque. */
static void
test_stampede(void)
{
    for (int round = 0; round < 10; round++) {
        struct race race;
        struct check_thread threads[CHECK_MOST_THREADS];
        race_init(&race, 6, 40000 / CHECK_SLOWNESS, THIEVES);
        for (size_t i = 0; i < race.items.count; i++) {
            push(&race.deque, items_make(&race.items, i));
        }
        check_start_threads(threads, THIEVES, steal_all, &race);
        check_gate_pass(&race.start);
        pop_all(&race);
        check_join_threads(threads, THIEVES);
        race_finish(&race);
    }
}

#define STRESS_ROUNDS 20
#define STRESS_ITEMS 50000000

/* The owner pushes and pops in bursts around the empty deque, where owner and thieves
 * meet, with a small buffer, so that it also grows under their hands. */
static void
test_stress(void)
{
    for (unsigned round = 0; round < STRESS_ROUNDS; round++) {
        struct race race;
        struct check_thread threads[CHECK_MOST_THREADS];
        uint64_t random = check_random_start(round);
        race_init(&race, 1, STRESS_ITEMS / STRESS_ROUNDS / CHECK_SLOWNESS, THIEVES);
        check_start_threads(threads, THIEVES, steal_all, &race);
        check_gate_pass(&race.start);
        size_t next = 0;
        while (next < race.items.count) {
            const uint64_t most = check_random(&random, 50) == 0 ? 500 : 4;
            for (uint64_t n = check_random(&random, most); n > 0; n--) {
                if (next < race.items.count) {
                    push(&race.deque, items_make(&race.items, next++));
                }
            }
            for (uint64_t n = check_random(&random, most); n > 0; n--) {
                void *item = trt_deque_pop(&race.deque);
                if (item != NULL) {
                    items_take(&race.items, item);
                }
            }
            struct item *newest = &race.items.all[next > 0 ? next - 1 : 0];
            if (trt_deque_pop_if(&race.deque, newest)) {
                items_take(&race.items, newest);
            }
        }
        pop_all(&race);
        check_join_threads(threads, THIEVES);
        race_finish(&race);
    }
}

/* Leaks show in the build with AddressSanitizer. */
static void
test_destruction(void)
{
    int item;
    for (unsigned log2_capacity = 1; log2_capacity < 8; log2_capacity++) {
        trt_deque d;
        CHECK_EQ(trt_deque_init(&d, log2_capacity), 0);
        for (int i = 0; i < 300; i++) {
            push(&d, &item);
        }
        trt_deque_destroy(&d); /* after growth, with items */
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_pop_if_takes_only_the_newest);
    RUN(test_refused_item_stays);
    RUN(test_slots_are_used_again_without_growth);
    RUN(test_growth_keeps_items_and_order);
    RUN(test_one_to_one);
    RUN(test_one_to_many);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_destruction);
    return check_end();
}
