/* Native code runs with a stack of its own, and recurses beyond it. */
#include "home.h"

#include "os/barrier.h"

enum {
    /* What strand.c keeps, at most: stacks of idle strands, and others. */
    IDLE_STACKS_MAX = 8,
    SPARES_MAX = 8,
};

/* --- alone */

static void
test_smoke(void)
{
    struct home home;
    home_init(&home);
    for (int status = -5; status < 5; status++) {
        CHECK_EQ(home_run(&home, return_number, &status), status);
    }
    CHECK_EQ(home.wakes, 0);
    home_destroy(&home);
}

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
test_children_are_joined_by_calls(void)
{
    struct fib f = {.n = 20};
    CHECK_EQ(home_run_alone(fib, &f), TRT_OK);
    CHECK_EQ(f.result, 6765);
}

enum { WIDE = 1000 };

/* More children at once than the first slots have room for; the last status that is not
 * 0 is handed on. */
static int
spawn_many(trt_context *ctx, void *arg)
{
    trt_frame children[WIDE];
    struct fib fibs[WIDE];
    int status = TRT_OK;
    for (unsigned i = 0; i < WIDE; i++) {
        fibs[i] = (struct fib){.n = i % 5};
        trt_spawn(ctx, &children[i], fib, &fibs[i]);
    }
    for (unsigned i = WIDE; i > 0; i--) {
        const int its = trt_join(ctx, &children[i - 1]);
        status = its ? its : status;
        *(uint64_t *)arg += fibs[i - 1].result;
    }
    return status;
}

static void
test_any_number_of_children_may_wait(void)
{
    uint64_t sum = 0;
    CHECK_EQ(home_run_alone(spawn_many, &sum), TRT_OK);
    CHECK_EQ(sum, WIDE / 5 * (0 + 1 + 1 + 2 + 3));
}

static int
look_whether_cancelled(trt_context *ctx, void *arg)
{
    (void)arg;
    return trt_cancelled(ctx) ? TRT_CANCELLED : TRT_OK;
}

static void
test_cancel_word_is_that_of_begin(void)
{
    struct home home;
    home_init(&home);
    CHECK_EQ(home_run(&home, look_whether_cancelled, NULL), TRT_OK);
    trt_store_relaxed(&home.work.cancel, 1);
    CHECK_EQ(home_run(&home, look_whether_cancelled, NULL), TRT_CANCELLED);
    home_destroy(&home);
}

static void
test_spawn_wakes_sleepers(void)
{
    struct home home;
    struct fib f = {.n = 2};
    home_init(&home);
    trt_store_relaxed(&home.sleepers, 1);
    CHECK_EQ(home_run(&home, fib, &f), TRT_OK);
    CHECK_EQ(home.wakes, 1);
    home_destroy(&home);
}

/* --- broken rules */

/* The children it forgets; their frames outlive it, so that nothing else is broken. */
struct forgetful {
    unsigned count;
    trt_frame children[100];
    struct fib fibs[100];
};

static int
forget(trt_context *ctx, void *arg)
{
    struct forgetful *f = arg;
    for (unsigned i = 0; i < f->count; i++) {
        trt_spawn(ctx, &f->children[i], fib, &f->fibs[i]);
    }
    return 5;
}

static void
test_child_that_is_not_joined_is_misuse(void)
{
    static struct forgetful f;
    struct home home;
    home_init(&home);
    for (f.count = 0; f.count <= 100; f.count += 50) {
        struct fib next = {.n = 10};
        CHECK_EQ(home_run(&home, forget, &f), f.count > 0 ? TRT_MISUSE : 5);
        CHECK_EQ(home_run(&home, fib, &next), TRT_OK); /* the strand is as new */
        CHECK_EQ(next.result, 55);
    }
    home_destroy(&home);
}

struct disorder {
    struct fib a, b;
    bool twice; /* joins one twice, else the older one first */
};

static int
join_in_disorder(trt_context *ctx, void *arg)
{
    struct disorder *d = arg;
    trt_frame first, second;
    trt_spawn(ctx, &first, fib, &d->a);
    trt_spawn(ctx, &second, fib, &d->b);
    if (d->twice) {
        CHECK_EQ(trt_join(ctx, &second), TRT_OK);
    }
    CHECK_EQ(trt_join(ctx, d->twice ? &second : &first),
             d->twice ? TRT_MISUSE : TRT_OK);
    CHECK_EQ(trt_join(ctx, d->twice ? &first : &second),
             d->twice ? TRT_OK : TRT_MISUSE);
    return TRT_OK;
}

/* The newer child may be gone, and is not run; the older one is. */
static void
test_join_in_the_wrong_order_is_misuse(void)
{
    struct home home;
    struct disorder d = {.a = {.n = 5}, .b = {.n = 6}};
    home_init(&home);
    CHECK_EQ(home_run(&home, join_in_disorder, &d), TRT_MISUSE);
    CHECK_EQ(d.a.result, 5);
    CHECK_EQ(d.b.result, 0);
    struct fib next = {.n = 10};
    CHECK_EQ(home_run(&home, fib, &next), TRT_OK); /* all is as new */
    home_destroy(&home);
}

static void
test_join_twice_is_misuse(void)
{
    struct disorder d = {.a = {.n = 5}, .b = {.n = 6}, .twice = true};
    CHECK_EQ(home_run_alone(join_in_disorder, &d), TRT_MISUSE);
    CHECK_EQ(d.a.result, 5);
    CHECK_EQ(d.b.result, 8);
}

/* --- deep recursion */

enum { DEEP = CHECK_SLOWNESS == 1 ? 1000000 : CHECK_SLOWNESS == 4 ? 250000 : 100000 };

static int
count_depth(trt_context *ctx, void *arg)
{
    struct fib *f = arg;
    if (f->n == 0) {
        return 9;
    }
    struct fib a = {.n = f->n - 1};
    trt_frame child;
    trt_spawn(ctx, &child, count_depth, &a);
    const int status = trt_join(ctx, &child);
    f->result = a.result + 1;
    return status;
}

static void
test_recursion_is_deeper_than_a_stack(void)
{
    struct home home;
    home_init(&home);
    for (int i = 0; i < 3; i++) {
        struct fib f = {.n = DEEP};
        CHECK_EQ(home_run(&home, count_depth, &f), 9);
        CHECK_EQ(f.result, DEEP);
        /* Other stacks were used, and some of them are kept. */
        CHECK(home.strands.spare_count > 0);
        CHECK(home.strands.spare_count <= SPARES_MAX);
    }
    home_destroy(&home);
}

/* Leave no room for a child, so that each is called on another stack. */
static int
fill_and_join(trt_context *ctx, void *arg)
{
    char room[TRT_STRAND_STACK - TRT_STRAND_RESERVE];
    memset(room, 1, sizeof room);
    trt_frame child;
    for (int i = 0; i < 50000 / CHECK_SLOWNESS; i++) {
        int status = i + room[i % 1000];
        trt_spawn(ctx, &child, return_number, &status);
        CHECK_EQ(trt_join(ctx, &child), i + 1);
    }
    return *(int *)arg;
}

static void
test_full_stack_borrows_another_any_number_of_times(void)
{
    int status = 3;
    CHECK_EQ(home_run_alone(fill_and_join, &status), 3);
}

/* --- what is kept */

static void
test_strands_are_used_again(void)
{
    struct home home;
    int number = 1;
    home_init(&home);
    trt_strand *const s = trt_strand_take(&home.strands);
    trt_stack *const stack = s->stack;
    trt_strand_give_back(&home.strands, s); /* it has not begun */
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(home_run(&home, return_number, &number), 1);
        CHECK(home.strands.idle == s && s->stack == stack);
        CHECK_EQ(home.strands.idle_count, 1);
        CHECK_EQ(home.strands.spare_count, 0);
    }
    home_destroy(&home);
}

static unsigned
idle_stacks(const struct home *home)
{
    unsigned stacks = 0;
    for (const trt_strand *s = home->strands.idle; s; s = s->next) {
        stacks += s->stack != NULL;
    }
    return stacks;
}

static void
test_stacks_of_idle_strands_are_given_back(void)
{
    enum { STRANDS = 30 };
    struct home home;
    trt_frame jobs[STRANDS];
    trt_strand *s[STRANDS];
    int numbers[STRANDS];
    home_init(&home);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < STRANDS; i++) {
            numbers[i] = i;
            s[i] = home_begin(&home, &jobs[i], return_number, &numbers[i]);
        }
        CHECK(home.strands.idle == NULL);
        CHECK_EQ(home.strands.idle_count, 0);
        CHECK_EQ(home.strands.spare_count, 0);
        for (int i = 0; i < STRANDS; i++) {
            CHECK_EQ(home_finish(&home, s[i]), i);
        }
        CHECK_EQ(home.strands.idle_count, STRANDS);
        CHECK_EQ(home.strands.spare_count, SPARES_MAX);
        CHECK_EQ(idle_stacks(&home), IDLE_STACKS_MAX);
    }
    home_destroy(&home);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    trt_barrier_init();
    RUN(test_smoke);
    RUN(test_children_are_joined_by_calls);
    RUN(test_any_number_of_children_may_wait);
    RUN(test_cancel_word_is_that_of_begin);
    RUN(test_spawn_wakes_sleepers);
    RUN(test_child_that_is_not_joined_is_misuse);
    RUN(test_join_in_the_wrong_order_is_misuse);
    RUN(test_join_twice_is_misuse);
    RUN(test_recursion_is_deeper_than_a_stack);
    RUN(test_full_stack_borrows_another_any_number_of_times);
    RUN(test_strands_are_used_again);
    RUN(test_stacks_of_idle_strands_are_given_back);
    return check_end();
}
