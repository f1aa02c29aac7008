/* Native code that waits for a thief, or for a call that is made outside, leaves its
 * thread, and goes on when that is done.
 */
#include "home.h"

#include "os/barrier.h"

/* --- the test itself is the thief */

/* Take the oldest child of the strand that runs. */
static trt_frame *
steal(struct home *home)
{
    const _Atomic(uint32_t) *work = NULL;
    trt_frames *frames = trt_load_acquire(&home->shown);
    trt_frame *frame = frames ? trt_frames_steal(frames, &work) : NULL;
    CHECK(frame == NULL || work == &home->work.cancel);
    return frame;
}

/* Spawns a child, which is stolen, and joins it `depth` joins deeper. */
struct robbed {
    struct home *home;
    trt_frame child;
    trt_frame *stolen;
    int number;        /* what the child returns */
    unsigned depth;    /* left */
    bool ended_before; /* the thief has ended it before the join */
    int calls;         /* to be made outside, before the join */
    int called;        /* of these */
};

static int
count_call(void *arg)
{
    return ++((struct robbed *)arg)->called;
}

static int
be_robbed(trt_context *ctx, void *arg)
{
    struct robbed *r = arg;
    if (r->depth > 0) {
        trt_frame deeper;
        r->depth--;
        trt_spawn(ctx, &deeper, be_robbed, r);
        return trt_join(ctx, &deeper);
    }
    trt_spawn(ctx, &r->child, return_number, &r->number);
    r->stolen = steal(r->home);
    CHECK(r->stolen == &r->child);
    if (r->ended_before) {
        trt_frame_end(r->stolen, r->number);
    }
    for (int i = 1; i <= r->calls; i++) {
        CHECK_EQ(trt_strand_call(ctx, count_call, r), i);
    }
    return trt_join(ctx, &r->child);
}

static trt_frame_waiter *resumed;

static void
note_resumed(trt_frame_waiter *waiter)
{
    CHECK(resumed == NULL);
    resumed = waiter;
}

static void
end_stolen(struct robbed *r, trt_strand *s)
{
    resumed = NULL;
    trt_frame_end(r->stolen, r->number);
    CHECK(resumed == &s->waiter);
}

static const unsigned robbed_depths[] = {0, 1, 10000, 50000};
enum { ROBBED_DEPTHS = sizeof robbed_depths / sizeof robbed_depths[0] };

static void
test_join_of_a_stolen_child_waits(void)
{
    struct home home;
    home_init(&home);
    for (int i = 0; i < ROBBED_DEPTHS; i++) {
        struct robbed r = {.home = &home, .number = 7 + i, .depth = robbed_depths[i]};
        trt_frame job;
        trt_strand *s = home_begin(&home, &job, be_robbed, &r);
        s->waiter.resume = note_resumed;
        CHECK_EQ(trt_strand_go(s), TRT_STRAND_WAITS);
        CHECK(trt_load_relaxed(&home.shown) == NULL);
        CHECK(s->awaited == &r.child);
        end_stolen(&r, s);
        CHECK_EQ(home_finish(&home, s), 7 + i);
    }
    home_destroy(&home);
}

static void
test_join_of_a_child_that_has_ended_does_not_wait(void)
{
    struct home home;
    home_init(&home);
    struct robbed r = {.home = &home, .number = 7, .ended_before = true};
    CHECK_EQ(home_run(&home, be_robbed, &r), 7);
    home_destroy(&home);
}

/* All wait, and go on in any order. */
static void
test_strands_take_turns(void)
{
    enum { STRANDS = 40 };
    struct home home;
    trt_frame jobs[STRANDS];
    struct robbed r[STRANDS];
    trt_strand *s[STRANDS];
    int order[STRANDS];
    uint64_t random = check_random_start(0);
    home_init(&home);
    for (int i = 0; i < STRANDS; i++) {
        const unsigned depth = (unsigned)check_random(&random, 5000);
        r[i] = (struct robbed){.home = &home, .number = i, .depth = depth};
        s[i] = home_begin(&home, &jobs[i], be_robbed, &r[i]);
        s[i]->waiter.resume = note_resumed;
        CHECK_EQ(trt_strand_go(s[i]), TRT_STRAND_WAITS);
        order[i] = i;
    }
    for (int left = STRANDS; left > 0; left--) {
        const uint64_t place = check_random(&random, (uint64_t)left);
        const int i = order[place];
        order[place] = order[left - 1];
        end_stolen(&r[i], s[i]);
        CHECK_EQ(home_finish(&home, s[i]), i);
    }
    home_destroy(&home);
}

static void
test_call_is_made_outside(void)
{
    struct home home;
    home_init(&home);
    for (int i = 0; i < ROBBED_DEPTHS; i++) {
        struct robbed r = {.home = &home,
                           .number = 3,
                           .depth = robbed_depths[i],
                           .ended_before = i % 2 == 0,
                           .calls = 3};
        trt_frame job;
        trt_strand *s = home_begin(&home, &job, be_robbed, &r);
        s->waiter.resume = note_resumed;
        for (int call = 1; call <= 3; call++) {
            CHECK_EQ(trt_strand_go(s), TRT_STRAND_CALLS);
            CHECK_EQ(r.called, call - 1);
            s->call_status = s->call_fn(s->call_arg);
        }
        if (!r.ended_before) {
            CHECK_EQ(trt_strand_go(s), TRT_STRAND_WAITS);
            end_stolen(&r, s);
        }
        CHECK_EQ(home_finish(&home, s), 3);
    }
    home_destroy(&home);
}

/* Forgets children of which thieves have some. */
struct forgetful {
    struct home *home;
    unsigned stolen;
    bool joins; /* the oldest one */
    trt_frame children[3];
    int number;
};

static int
forget_stolen(trt_context *ctx, void *arg)
{
    struct forgetful *f = arg;
    for (int i = 0; i < 3; i++) {
        trt_spawn(ctx, &f->children[i], return_number, &f->number);
    }
    for (unsigned i = 0; i < f->stolen; i++) {
        CHECK(steal(f->home) == &f->children[i]);
    }
    if (f->joins) {
        trt_frame_end(&f->children[0], 8);
        return trt_join(ctx, &f->children[0]);
    }
    return 5;
}

/* A thief may still write to the stack: nobody else gets it. */
static void
test_strand_with_a_forgotten_thief_is_not_used_again(void)
{
    static trt_strand *volatile given_up[6]; /* kept, so that no leak is found */
    static struct forgetful f;
    struct home home;
    trt_frame job;
    home_init(&home);
    for (int i = 0; i < 6; i++) {
        f = (struct forgetful){.home = &home, .joins = i >= 4};
        f.stolen = i >= 4 ? (unsigned)i - 2 : (unsigned)i; /* 0 to 3; 2 and 3 */
        given_up[i] = home_begin(&home, &job, forget_stolen, &f);
        CHECK_EQ(home_finish(&home, given_up[i]), TRT_MISUSE);
        CHECK_EQ(home.strands.idle == given_up[i], f.stolen == 0);
    }
    home_destroy(&home);
}

static int
call_before_join(trt_context *ctx, void *arg)
{
    int number = 4;
    trt_frame child;
    trt_spawn(ctx, &child, return_number, &number);
    CHECK_EQ(trt_strand_call(ctx, count_call, arg), 1);
    return trt_join(ctx, &child);
}

static void
test_children_are_in_sight_during_a_call(void)
{
    struct home home;
    struct robbed r = {.called = 0};
    trt_frame job;
    home_init(&home);
    trt_strand *s = home_begin(&home, &job, call_before_join, &r);
    CHECK_EQ(trt_strand_go(s), TRT_STRAND_CALLS);
    trt_frame *child = steal(&home);
    CHECK(child != NULL);
    trt_frame_end(child, child->fn(NULL, child->arg));
    s->call_status = s->call_fn(s->call_arg);
    CHECK_EQ(home_finish(&home, s), 4);
    home_destroy(&home);
}

/* Whoever goes on while a child waits tells the sleepers, who may have looked while
 * another strand was in sight.
 */
static void
test_children_that_come_into_sight_again_wake(void)
{
    struct home home;
    struct robbed r = {.called = 0};
    trt_frame job;
    int number = 1;
    home_init(&home);
    trt_strand *s = home_begin(&home, &job, call_before_join, &r);
    CHECK_EQ(trt_strand_go(s), TRT_STRAND_CALLS);
    CHECK_EQ(home_run(&home, return_number, &number), 1);
    CHECK(trt_load_relaxed(&home.shown) == NULL);
    CHECK_EQ(home.wakes, 0);
    s->call_status = s->call_fn(s->call_arg);
    CHECK_EQ(home_finish(&home, s), 4);
    CHECK_EQ(home.wakes, 1);
    home_destroy(&home);
}

/* As when native code calls Python by itself, and that runs native code. */
static int
run_another(trt_context *ctx, void *arg)
{
    struct home *home = arg;
    int number = 4;
    trt_frame child;
    trt_spawn(ctx, &child, return_number, &number);
    struct robbed r = {.home = home, .number = 5, .depth = 10000};
    trt_frame job;
    trt_strand *inner = home_begin(home, &job, be_robbed, &r);
    inner->waiter.resume = note_resumed;
    CHECK_EQ(trt_strand_go(inner), TRT_STRAND_WAITS);
    CHECK(&trt_load_relaxed(&home->shown)->base == ctx);
    end_stolen(&r, inner);
    CHECK_EQ(home_finish(home, inner), 5);
    CHECK(steal(home) == &child);
    trt_frame_end(&child, number);
    return trt_join(ctx, &child);
}

static void
test_strand_may_run_inside_another(void)
{
    struct home home;
    home_init(&home);
    CHECK_EQ(home_run(&home, run_another, &home), 4);
    home_destroy(&home);
}

/* --- with thieves of flesh and blood */

struct stage {
    struct home home;
    struct check_gate start;
    _Atomic(bool) stop;
    trt_frame_waiter *waiter;
    _Atomic(bool) resumed;
    _Atomic(uint64_t) stolen;
};
static struct stage stage;

static void
set_resumed(trt_frame_waiter *waiter)
{
    stage.waiter = waiter;
    CHECK(!trt_load_relaxed(&stage.resumed));
    trt_store_release(&stage.resumed, true);
}

static void
be_thief(unsigned number, void *shared)
{
    uint64_t random = check_random_start(number);
    unsigned turns = 0;
    (void)shared;
    check_gate_pass(&stage.start);
    while (!trt_load_acquire(&stage.stop)) {
        trt_frame *frame = steal(&stage.home);
        if (frame == NULL) {
            check_spin(&turns);
            continue;
        }
        const int status = frame->fn(NULL, frame->arg);
        check_delay(&random, 400);
        trt_fetch_add_relaxed(&stage.stolen, 1);
        trt_frame_end(frame, status);
    }
}

static size_t
count_offered(const trt_context *ctx)
{
    return (size_t)(trt_load_relaxed(&ctx->tail) - trt_load_relaxed(&ctx->head));
}

/* Spawns leaves, which is all that the thieves can run, and joins them. */
static int
spawn_leaves(trt_context *ctx, void *random)
{
    trt_frame children[3];
    int numbers[3];
    const unsigned count = 1 + (unsigned)check_random(random, 3);
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = (int)check_random(random, 1000);
        trt_spawn(ctx, &children[i], return_number, &numbers[i]);
    }
    /* As a rule a thief has one by the time of the join, and not for long. */
    for (unsigned look = 0; look < 1000 && count_offered(ctx) == count; look++) {
        trt_cpu_relax();
    }
    check_delay(random, 20);
    for (unsigned i = count; i > 0; i--) {
        CHECK_EQ(trt_join(ctx, &children[i - 1]), numbers[i - 1]);
    }
    return TRT_OK;
}

static void
test_waiting_strand_is_resumed_once(void)
{
    enum { ROUNDS = 100000 / CHECK_SLOWNESS, THIEVES = 2 };
    struct check_thread threads[THIEVES];
    uint64_t random = check_random_start(THIEVES), waits = 0;
    unsigned turns = 0;
    home_init(&stage.home);
    stage.start.count = THIEVES + 1;
    check_start_threads(threads, THIEVES, be_thief, NULL);
    check_gate_pass(&stage.start);
    for (int round = 0; round < ROUNDS; round++) {
        trt_frame job;
        trt_strand *s = home_begin(&stage.home, &job, spawn_leaves, &random);
        s->waiter.resume = set_resumed;
        while (trt_strand_go(s) == TRT_STRAND_WAITS) {
            waits++;
            while (!trt_load_acquire(&stage.resumed)) {
                check_spin(&turns);
            }
            CHECK(stage.waiter == &s->waiter);
            trt_store_relaxed(&stage.resumed, false);
        }
        CHECK_EQ(s->status, TRT_OK);
        trt_strand_give_back(&stage.home.strands, s);
    }
    trt_store_release(&stage.stop, true);
    check_join_threads(threads, THIEVES);
    printf("  %" PRIu64 " stolen, waited %" PRIu64 " times\n",
           trt_load_relaxed(&stage.stolen), waits);
    home_destroy(&stage.home);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    trt_barrier_init();
    RUN(test_join_of_a_stolen_child_waits);
    RUN(test_join_of_a_child_that_has_ended_does_not_wait);
    RUN(test_strands_take_turns);
    RUN(test_call_is_made_outside);
    RUN(test_strand_with_a_forgotten_thief_is_not_used_again);
    RUN(test_children_are_in_sight_during_a_call);
    RUN(test_children_that_come_into_sight_again_wake);
    RUN(test_strand_may_run_inside_another);
    RUN(test_waiting_strand_is_resumed_once);
    return check_end();
}
