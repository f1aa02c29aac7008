/* Native code on several threads: what one spawns others take, and all comes out right.
 *
 * Compiled with TRT_STACK_UCONTEXT it tests the same on the other switch of stacks.
 */
#include "company.h"

#include "os/clock.h"

static const unsigned sizes[] = {1, 2, 4, 64};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* --- fib */

struct fib {
    unsigned n;
    uint64_t result;
};

static int
fib(trt_context *ctx, void *arg)
{
    struct fib *f = arg;
    if (f->n < 2) {
        f->result = f->n;
        return TRT_OK;
    }
    struct fib a = {.n = f->n - 1}, b = {.n = f->n - 2};
    trt_frame child;
    trt_spawn(ctx, &child, fib, &a);
    const int mine = fib(ctx, &b);
    const int its = trt_join(ctx, &child);
    f->result = a.result + b.result;
    return mine ? mine : its;
}

static void
check_fib(unsigned master, unsigned n)
{
    struct fib f = {.n = n};
    uint64_t before = 1, number = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t next = before + number;
        before = number;
        number = next;
    }
    CHECK_EQ(company_run(master, fib, &f), TRT_OK);
    CHECK_EQ(f.result, number);
}

static void
test_smoke(void)
{
    company_open(2, 1);
    check_fib(0, 10);
    company_close();
}

static void
test_fib_is_right_with_any_number_of_threads(void)
{
    for (int i = 0; i < SIZES; i++) {
        company_open(sizes[i], 1);
        check_fib(0, CHECK_SLOWNESS == 1 ? 30 : 24);
        const trt_counters_snapshot sum = company_close();
        printf("  %u threads: %" PRIu64 " stolen, %" PRIu64 " sleeps\n", sizes[i],
               sum.stolen, sum.sleeps);
        CHECK(sizes[i] > 1 || sum.stolen == 0);
    }
}

static void
test_stress(void)
{
    company_open(4, 1);
    check_fib(0, CHECK_SLOWNESS == 1 ? 39 : CHECK_SLOWNESS == 4 ? 32 : 28);
    const trt_counters_snapshot sum = company_close();
    printf("  %" PRIu64 " stolen\n", sum.stolen);
}

static void
test_many_small_roots(void)
{
    for (int i = 0; i < SIZES; i++) {
        company_open(sizes[i], 1);
        const int roots = (sizes[i] > 4 ? 2000 : 20000) / CHECK_SLOWNESS;
        for (int root = 0; root < roots; root++) {
            check_fib(0, (unsigned)root % 12);
        }
        company_close();
    }
}

static void
run_some_roots(unsigned number, void *shared)
{
    uint64_t random = check_random_start(number);
    (void)shared;
    for (int root = 0; root < 1000 / CHECK_SLOWNESS; root++) {
        check_fib(number, (unsigned)check_random(&random, 20));
    }
}

static void
test_two_threads_have_roots_at_once(void)
{
    for (unsigned hands = 2; hands <= 4; hands += 2) {
        company_open(hands, 2);
        check_run_threads(2, run_some_roots, NULL);
        company_close();
    }
}

/* --- waking */

/* A root or a child that others have to come to. */
struct meeting {
    unsigned size;
    _Atomic(unsigned) arrived;
    uint64_t random;
};

static void
wait_for_all(struct meeting *meeting)
{
    unsigned turns = 0;
    trt_fetch_add_relaxed(&meeting->arrived, 1);
    while (trt_load_relaxed(&meeting->arrived) < meeting->size) {
        check_spin(&turns);
    }
}

static int
attend(trt_context *ctx, void *arg)
{
    (void)ctx;
    wait_for_all(arg);
    return TRT_OK;
}

/* Against the rules it waits for its children before it joins them, so that each has to
 * be on a thread of its own. */
static int
call_meeting(trt_context *ctx, void *arg)
{
    struct meeting *meeting = arg;
    trt_frame children[HANDS_MOST];
    for (unsigned i = 1; i < meeting->size; i++) {
        check_delay(&meeting->random, i % 2 ? 0 : 100);
        trt_spawn(ctx, &children[i], attend, meeting);
    }
    wait_for_all(meeting);
    for (unsigned i = meeting->size - 1; i > 0; i--) {
        CHECK_EQ(trt_join(ctx, &children[i]), TRT_OK);
    }
    return TRT_OK;
}

/* With all others asleep at the start, and with whatever they are about to do. */
static void
check_meetings(unsigned size, int count, bool asleep)
{
    uint64_t random = check_random_start(size);
    company_open(size, 1);
    for (int i = 0; i < count; i++) {
        unsigned turns = 0;
        while (asleep &&
               trt_sleep_sleeping(&company.pool.teams[TRT_DEFAULT].sleep) < size - 1) {
            check_spin(&turns);
        }
        struct meeting meeting = {.size = size, .random = check_random(&random, 1000)};
        meeting.random++; /* 0 is no state */
        check_delay(&random, 500);
        CHECK_EQ(company_run(0, call_meeting, &meeting), TRT_OK);
    }
    const trt_counters_snapshot sum = company_close();
    CHECK(sum.stolen >= (uint64_t)count * (size - 1));
    /* Some are not woken: they had lain down, and looked once more. */
    printf("  %u threads: %" PRIu64 " woken by a spawn\n", size, sum.wakes);
    CHECK(!asleep || sum.wakes > 0);
}

static void
test_sleepers_are_woken_by_a_spawn(void)
{
    check_meetings(2, 5000 / CHECK_SLOWNESS, true);
    check_meetings(4, 2000 / CHECK_SLOWNESS, true);
}

static void
test_no_child_waits_while_somebody_sleeps(void)
{
    check_meetings(2, 5000 / CHECK_SLOWNESS, false);
    check_meetings(3, 5000 / CHECK_SLOWNESS, false);
    check_meetings(8, 1000 / CHECK_SLOWNESS, false);
}

/* --- random trees */

struct node {
    uint64_t random; /* decides all that is below */
    unsigned depth;  /* left */
    uint64_t sum;    /* of the leaves */
    bool calls;      /* some nodes call outside */
};

static uint64_t
leaf_value(uint64_t *random)
{
    check_delay(random, check_random(random, 100) == 0 ? 1000 : 10);
    return check_random(random, 1000);
}

/* Children of a node, at most 4; none is a leaf. */
static unsigned
make_children(struct node *node, struct node *children)
{
    const unsigned count =
        node->depth == 0 ? 0 : (unsigned)check_random(&node->random, 5);
    for (unsigned i = 0; i < count; i++) {
        children[i] = *node;
        children[i].depth--;
        children[i].sum = 0;
        children[i].random = check_random(&node->random, UINT32_MAX) + 1;
    }
    return count;
}

static void
sum_serially(struct node *node)
{
    struct node children[4];
    const unsigned count = make_children(node, children);
    node->sum = count == 0 ? leaf_value(&node->random) : 0;
    for (unsigned i = 0; i < count; i++) {
        sum_serially(&children[i]);
        node->sum += children[i].sum;
    }
}

static int
status_of(const struct node *node)
{
    return (int)(node->sum % 1000) + 1;
}

static int
call_leaf(void *arg)
{
    struct node *node = arg;
    node->sum = leaf_value(&node->random);
    return status_of(node);
}

/* The status tells the sum a second time. */
static int
sum_tree(trt_context *ctx, void *arg)
{
    struct node *node = arg;
    struct node children[4];
    trt_frame frames[4];
    const unsigned count = make_children(node, children);
    for (unsigned i = 0; i < count; i++) {
        trt_spawn(ctx, &frames[i], sum_tree, &children[i]);
    }
    if (count == 0 && node->calls && node->random % 10 == 0) {
        CHECK_EQ(trt_strand_call(ctx, call_leaf, node), status_of(node));
    } else if (count == 0) {
        node->sum = leaf_value(&node->random);
    }
    for (unsigned i = count; i > 0; i--) {
        CHECK_EQ(trt_join(ctx, &frames[i - 1]), status_of(&children[i - 1]));
        node->sum += children[i - 1].sum;
    }
    return status_of(node);
}

static void
check_trees(unsigned hands, uint64_t trees, bool calls)
{
    uint64_t calls_made = 0;
    company_open(hands, 1);
    for (uint64_t tree = 0; tree < trees; tree++) {
        struct node node = {.random = check_random_start(tree), .depth = 10};
        struct node same = node;
        node.calls = calls;
        CHECK_EQ(company_run(0, sum_tree, &node), status_of(&node));
        sum_serially(&same);
        CHECK_EQ(node.sum, same.sum);
    }
    for (unsigned i = 0; i < hands; i++) {
        calls_made += company.hands[i].calls;
    }
    const trt_counters_snapshot sum = company_close();
    printf("  %u threads: %" PRIu64 " stolen, %" PRIu64 " calls\n", hands, sum.stolen,
           calls_made);
}

static void
test_random_trees(void)
{
    for (int i = 0; i < SIZES; i++) {
        check_trees(sizes[i], 150 / CHECK_SLOWNESS, false);
    }
}

static void
test_random_trees_that_call_outside(void)
{
    for (int i = 0; i < SIZES; i++) {
        check_trees(sizes[i], 150 / CHECK_SLOWNESS, true);
    }
}

/* --- stress of thefts: children that take as long as it takes to steal them */

struct comb {
    uint64_t random;
    unsigned depth; /* left */
    uint64_t leaves;
};

static int
comb(trt_context *ctx, void *arg)
{
    enum { TEETH = 3, ROUNDS = 20 };
    struct comb *c = arg;
    struct comb teeth[TEETH];
    trt_frame frames[TEETH];
    check_delay(&c->random, 20);
    c->leaves = c->depth == 0;
    for (int round = 0; c->depth > 0 && round < ROUNDS; round++) {
        const unsigned count = 1 + (unsigned)check_random(&c->random, TEETH);
        for (unsigned i = 0; i < count; i++) {
            teeth[i].random = check_random(&c->random, UINT32_MAX) + 1;
            teeth[i].depth = c->depth - 1;
            trt_spawn(ctx, &frames[i], comb, &teeth[i]);
        }
        check_delay(&c->random, 40);
        for (unsigned i = count; i > 0; i--) {
            CHECK_EQ(trt_join(ctx, &frames[i - 1]), TRT_OK);
            c->leaves += teeth[i - 1].leaves;
        }
    }
    return TRT_OK;
}

static void
test_children_are_stolen_all_the_time(void)
{
    uint64_t leaves[SIZES];
    for (int i = 0; i < SIZES; i++) {
        leaves[i] = 0;
        company_open(sizes[i], 1);
        for (uint64_t round = 0; round < (CHECK_SLOWNESS == 1 ? 10 : 4); round++) {
            struct comb root = {.random = check_random_start(round), .depth = 3};
            CHECK_EQ(company_run(0, comb, &root), TRT_OK);
            leaves[i] += root.leaves;
        }
        const trt_counters_snapshot sum = company_close();
        printf("  %u threads: %" PRIu64 " leaves, %" PRIu64 " stolen\n", sizes[i],
               leaves[i], sum.stolen);
        CHECK_EQ(leaves[i], leaves[0]);
    }
}

/* --- the rest */

enum { DEEP = 100000 / CHECK_SLOWNESS };

/* At each level a child that may be stolen, and one that goes on. */
static int
go_deep(trt_context *ctx, void *arg)
{
    struct fib *f = arg;
    if (f->n == 0) {
        return TRT_OK;
    }
    struct fib leaf = {.n = 5}, rest = {.n = f->n - 1};
    trt_frame frames[2];
    trt_spawn(ctx, &frames[0], fib, &leaf);
    trt_spawn(ctx, &frames[1], go_deep, &rest);
    const int its = trt_join(ctx, &frames[1]);
    CHECK_EQ(trt_join(ctx, &frames[0]), TRT_OK);
    CHECK_EQ(leaf.result, 5);
    f->result = rest.result + 1;
    return its;
}

static void
test_deep_recursion_with_thieves(void)
{
    for (int i = 0; i < 3; i++) {
        company_open(sizes[i], 1);
        struct fib f = {.n = DEEP};
        CHECK_EQ(company_run(0, go_deep, &f), TRT_OK);
        CHECK_EQ(f.result, DEEP);
        company_close();
    }
}

/* Work that goes on until it is cancelled, wherever its parts are; the second leaf does
 * the cancelling. */
static int
spin_until_cancelled(trt_context *ctx, void *arg)
{
    unsigned turns = 0;
    _Atomic(uint32_t) *begun = arg;
    if (trt_fetch_add_relaxed(begun, 1) == 1) {
        trt_store_relaxed(&trt_work_of(ctx)->cancel, 1);
    }
    while (!trt_cancelled(ctx)) {
        check_spin(&turns);
    }
    return TRT_CANCELLED;
}

static int
spawn_spinning(trt_context *ctx, void *arg)
{
    trt_frame frames[10];
    for (int i = 0; i < 10; i++) {
        trt_spawn(ctx, &frames[i], spin_until_cancelled, arg);
    }
    for (int i = 10; i > 0; i--) {
        CHECK_EQ(trt_join(ctx, &frames[i - 1]), TRT_CANCELLED);
    }
    return trt_cancelled(ctx) ? TRT_CANCELLED : TRT_OK;
}

/* The other root, at the same time, is not cancelled. */
static void
cancel_one(unsigned number, void *shared)
{
    (void)shared;
    for (int i = 0; i < 200 / CHECK_SLOWNESS; i++) {
        trt_work work;
        _Atomic(uint32_t) begun = 0;
        trt_work_init(&work);
        if (number == 0) {
            CHECK_EQ(company_run_root(0, &work, spawn_spinning, &begun), TRT_CANCELLED);
            CHECK_EQ(trt_load_relaxed(&begun), 10);
        } else {
            struct fib f = {.n = 12};
            CHECK_EQ(company_run_root(1, &work, fib, &f), TRT_OK);
            CHECK_EQ(trt_load_relaxed(&work.cancel), 0);
        }
        trt_work_destroy(&work);
    }
}

static void
test_thieves_see_that_the_work_is_cancelled(void)
{
    company_open(4, 2);
    check_run_threads(2, cancel_one, NULL);
    company_close();
}

/* --- thieves that pause */

struct lure {
    trt_crew *thief;
    trt_function fn;
    bool taken; /* by a turn of the thief, before the join */
};

static int
do_nothing(trt_context *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return TRT_OK;
}

static int
take_a_while(trt_context *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    const uint64_t start = trt_clock_now_ns();
    while (trt_clock_now_ns() - start < 1000 * 1000) {
    }
    return TRT_OK;
}

/* The thief's turn is taken here, by the owner's thread: nobody else is there. */
static int
offer_one(trt_context *ctx, void *arg)
{
    struct lure *lure = arg;
    trt_frame child;
    trt_spawn(ctx, &child, lure->fn, NULL);
    lure->taken = trt_crew_turn(lure->thief, NULL);
    return trt_join(ctx, &child);
}

static bool
is_taken_by(trt_crew *thief, trt_function fn)
{
    struct lure lure = {.thief = thief, .fn = fn};
    CHECK_EQ(company_run(0, offer_one, &lure), TRT_OK);
    return lure.taken;
}

/* What counts is the time that it took: this thread may have been held up in either. */
static void
test_thief_pauses_after_loot_not_worth_its_steal(void)
{
    company_open(2, 2);
    trt_crew *const thief = &company.hands[1].crew;
    do {
        CHECK(is_taken_by(thief, do_nothing));
    } while (thief->pause_ns == 0);
    thief->pause_until_ns = UINT64_MAX;
    CHECK(!is_taken_by(thief, take_a_while));
    do {
        thief->pause_until_ns = 0;
        CHECK(is_taken_by(thief, take_a_while));
    } while (thief->pause_ns != 0);
    trt_worker_stop_searching(&company.hands[1].worker);
    company_close();
}

/* Whatever the threads are at when they are told to stop. */
static void
test_company_stops_at_any_time(void)
{
    uint64_t random = check_random_start(0);
    for (int i = 0; i < 500 / CHECK_SLOWNESS; i++) {
        company_open(2 + (unsigned)check_random(&random, 4), 1);
        check_fib(0, (unsigned)check_random(&random, 15));
        check_delay(&random, 2000);
        company_close();
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_fib_is_right_with_any_number_of_threads);
    RUN(test_many_small_roots);
    RUN(test_two_threads_have_roots_at_once);
    RUN(test_sleepers_are_woken_by_a_spawn);
    RUN(test_no_child_waits_while_somebody_sleeps);
    RUN(test_random_trees);
    RUN(test_random_trees_that_call_outside);
    RUN(test_children_are_stolen_all_the_time);
    RUN(test_deep_recursion_with_thieves);
    RUN(test_thieves_see_that_the_work_is_cancelled);
    RUN(test_thief_pauses_after_loot_not_worth_its_steal);
    RUN(test_company_stops_at_any_time);
    RUN(test_stress);
    return check_end();
}
