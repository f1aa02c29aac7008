/* Every child runs once: at the owner's end the newest, at the thieves' the oldest. */
#include "check.h"
#include "os/barrier.h"
#include "queue/frames.h"

enum { THIEVES = 3, SOME = 3000 };

/* A child, and what it knows of its runs. Plain fields on purpose: that they are seen
 * is part of what the frames promise, and ThreadSanitizer checks it. */
struct kid {
    trt_frame frame;
    size_t number; /* written by the spawner; later kids have higher ones */
    unsigned runs;
    bool stolen; /* its last run was a thief's */
};

/* What the owner spawns, and who watches. */
struct family {
    trt_frames frames;
    struct kid *kids;
    size_t count;
    struct check_gate start;
    _Atomic(bool) stop;
    _Atomic(size_t) stolen;
    _Atomic(uint32_t) sleepers; /* as in the sleep word */
    _Atomic(uint32_t) cancel;
    unsigned wakes; /* owner */
};

static int
status_of(size_t number)
{
    return (int)(number % 1000) + 1;
}

/* A thief has no context to give. */
static int
run_kid(trt_context *ctx, void *arg)
{
    struct kid *kid = arg;
    kid->runs++;
    kid->stolen = ctx == NULL;
    return status_of(kid->number);
}

/* --- what the owner's code calls through its context */

static int
api_spawn_slow(trt_context *ctx, trt_frame *frame)
{
    (void)frame;
    CHECK(trt_frames_grow((trt_frames *)ctx));
    return 1;
}

static int
api_join_slow(trt_context *ctx, trt_frame *frame)
{
    unsigned turns = 0;
    switch (trt_frames_take((trt_frames *)ctx, frame)) {
    case TRT_TAKE_GOT:
        return frame->fn(ctx, frame->arg);
    case TRT_TAKE_RAN:
        return frame->status;
    case TRT_TAKE_WRONG:
        return TRT_MISUSE;
    case TRT_TAKE_STOLEN:
        break;
    }
    while (trt_load_acquire(&frame->state) != TRT_FRAME_ENDED) {
        check_spin(&turns);
    }
    return frame->status;
}

static void
api_wake(trt_context *ctx)
{
    ((struct family *)ctx)->wakes++;
}

static const trt_context_api api = {
    .size = sizeof(trt_context_api),
    .spawn_slow = api_spawn_slow,
    .join_slow = api_join_slow,
    .wake = api_wake,
    .fence = trt_fence_seq_cst,
};

/* --- families */

static void
family_init(struct family *f, size_t count)
{
    *f = (struct family){.kids = calloc(count, sizeof(struct kid)), .count = count};
    CHECK(f->kids != NULL);
    CHECK_EQ(trt_frames_init(&f->frames, &api, &f->sleepers), 0);
    f->frames.base.cancel = &f->cancel;
}

static void
family_destroy(struct family *f)
{
    CHECK_EQ(trt_frames_clear(&f->frames), TRT_CLEAR_EMPTY);
    CHECK(!trt_frames_offer(&f->frames));
    trt_frames_destroy(&f->frames);
    free(f->kids);
}

static void
spawn(struct family *f, size_t place, size_t number)
{
    struct kid *kid = &f->kids[place];
    kid->number = number;
    kid->runs = 0;
    trt_spawn(&f->frames.base, &kid->frame, run_kid, kid);
}

/* Whether a thief has run it. */
static bool
join(struct family *f, size_t place)
{
    struct kid *kid = &f->kids[place];
    CHECK_EQ(trt_join(&f->frames.base, &kid->frame), status_of(kid->number));
    CHECK_EQ(kid->runs, 1);
    return kid->stolen;
}

/* The kid that comes next, or NULL; to be run. */
static struct kid *
steal(struct family *f)
{
    const _Atomic(uint32_t) *work = NULL;
    trt_frame *frame = trt_frames_steal(&f->frames, &work);
    if (frame == NULL) {
        return NULL;
    }
    CHECK(work == &f->cancel);
    CHECK_EQ(trt_load_relaxed(&frame->state), TRT_FRAME_STOLEN);
    return frame->arg;
}

static void
run_stolen(struct kid *kid)
{
    trt_frame_end(&kid->frame, run_kid(NULL, kid));
}

/* Steal kid number `number`, and run it. */
static void
steal_and_run(struct family *f, size_t number)
{
    struct kid *kid = steal(f);
    CHECK(kid != NULL);
    CHECK_EQ(kid->number, number);
    run_stolen(kid);
}

/* --- one thread plays all parts */

static void
test_smoke(void)
{
    struct family f;
    family_init(&f, 3);
    for (size_t i = 0; i < 3; i++) {
        spawn(&f, i, i);
    }
    CHECK(trt_frames_offer(&f.frames));
    steal_and_run(&f, 0);
    CHECK(!join(&f, 2));
    CHECK(!join(&f, 1));
    CHECK(!trt_frames_offer(&f.frames));
    CHECK(join(&f, 0));
    family_destroy(&f);
}

static void
check_is_empty(struct family *f)
{
    CHECK(!trt_frames_offer(&f->frames));
    CHECK(steal(f) == NULL);
    CHECK_EQ(trt_frames_clear(&f->frames), TRT_CLEAR_EMPTY);
    CHECK_EQ(trt_frames_take(&f->frames, &f->kids[0].frame), TRT_TAKE_WRONG);
    CHECK_EQ(trt_frames_clear(&f->frames), TRT_CLEAR_FORGOTTEN); /* it tells of that */
    CHECK(steal(f) == NULL);
}

static void
test_empty(void)
{
    struct family f;
    family_init(&f, 1);
    for (size_t i = 0; i < 5; i++) {
        check_is_empty(&f);
        spawn(&f, 0, i);
        CHECK(!join(&f, 0));
        check_is_empty(&f); /* though the slot still holds the frame */
        spawn(&f, 0, i);
        steal_and_run(&f, i);
        CHECK(!trt_frames_offer(&f.frames) && steal(&f) == NULL);
        CHECK(join(&f, 0));
    }
    family_destroy(&f);
}

static void
test_growth_keeps_frames_and_order(void)
{
    struct family f;
    family_init(&f, SOME);
    size_t oldest = 0;
    for (size_t i = 0; i < SOME; i++) {
        spawn(&f, i, i);
        if (i % 3 == 0) {
            steal_and_run(&f, oldest++);
        }
    }
    for (size_t i = SOME; i > 0; i--) {
        CHECK_EQ(join(&f, i - 1), i <= oldest);
    }
    family_destroy(&f);
}

/* A child that was not joined may be gone by then. */
static void
test_newer_frames_are_forgotten(void)
{
    struct family f;
    family_init(&f, 3);
    for (size_t stolen = 0; stolen <= 3; stolen++) {
        for (size_t i = 0; i < 3; i++) {
            spawn(&f, i, i);
        }
        for (size_t i = 0; i < stolen; i++) {
            steal_and_run(&f, i);
        }
        CHECK_EQ(trt_frames_take(&f.frames, &f.kids[1].frame),
                 stolen > 1 ? TRT_TAKE_STOLEN : TRT_TAKE_GOT);
        CHECK_EQ(trt_frames_take(&f.frames, &f.kids[2].frame), TRT_TAKE_WRONG);
        CHECK_EQ(trt_frames_take(&f.frames, &f.kids[1].frame), TRT_TAKE_WRONG);
        CHECK_EQ(trt_frames_take(&f.frames, &f.kids[0].frame),
                 stolen > 0 ? TRT_TAKE_STOLEN : TRT_TAKE_GOT);
        CHECK_EQ(trt_frames_take(&f.frames, &f.kids[0].frame), TRT_TAKE_WRONG);
        CHECK(!trt_frames_offer(&f.frames));
        CHECK_EQ(trt_frames_clear(&f.frames),
                 stolen > 2 ? TRT_CLEAR_STOLEN : TRT_CLEAR_FORGOTTEN);
        CHECK_EQ(trt_frames_clear(&f.frames), TRT_CLEAR_EMPTY);
    }
    family_destroy(&f);
}

/* As when there was no memory for more slots. */
static void
test_frame_that_ran_at_once_is_joined_in_its_turn(void)
{
    struct family f;
    family_init(&f, 2);
    spawn(&f, 0, 7);
    struct kid *ran = &f.kids[1];
    ran->frame.status = 5;
    trt_store_relaxed(&ran->frame.state, TRT_FRAME_RAN);
    CHECK_EQ(trt_frames_take(&f.frames, &ran->frame), TRT_TAKE_RAN);
    CHECK_EQ(trt_join(&f.frames.base, &ran->frame), 5);
    CHECK_EQ(ran->runs, 0);
    CHECK(!join(&f, 0));
    CHECK_EQ(trt_join(&f.frames.base, &ran->frame), 5);
    family_destroy(&f);
}

static void
test_clear_forgets_all(void)
{
    struct family f;
    family_init(&f, 300);
    for (size_t stolen = 0; stolen < 300; stolen += 50) {
        for (size_t i = 0; i < 300; i++) {
            spawn(&f, i, i);
        }
        for (size_t i = 0; i < stolen; i++) {
            steal_and_run(&f, i);
        }
        CHECK_EQ(trt_frames_clear(&f.frames),
                 stolen > 0 ? TRT_CLEAR_STOLEN : TRT_CLEAR_FORGOTTEN);
        CHECK_EQ(trt_frames_clear(&f.frames), TRT_CLEAR_EMPTY);
        CHECK(!trt_frames_offer(&f.frames) && steal(&f) == NULL);
        spawn(&f, 0, 0);
        spawn(&f, 1, 1);
        steal_and_run(&f, 0);
        CHECK(!join(&f, 1));
        CHECK(join(&f, 0));
    }
    family_destroy(&f);
}

static void
test_spawn_wakes_if_somebody_sleeps_and_nobody_searches(void)
{
    const struct {
        uint32_t word;
        bool wakes;
    } cases[] = {{0, false},          {1, true},          {2, true},
                 {0xffff, true},      {0x10000, false},   {0x10001, false},
                 {0x1ffff, false},    {0x20000, false},   {0xffff0000, false},
                 {0xffff0001, false}, {UINT32_MAX, false}};
    struct family f;
    family_init(&f, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.wakes = 0;
        trt_store_relaxed(&f.sleepers, cases[i].word);
        spawn(&f, 0, i);
        CHECK_EQ(f.wakes, cases[i].wakes);
        join(&f, 0);
        CHECK_EQ(f.wakes, cases[i].wakes);
    }
    family_destroy(&f);
}

/* --- with thieves, with both kinds of barriers */

static void
choose_barrier(bool asymmetric)
{
    trt_barrier_init();
    if (!asymmetric) {
        trt_store_relaxed(&trt_barrier_asymmetric, false);
    }
}

static void
with_both_barriers(void (*test)(void))
{
    choose_barrier(true);
    if (trt_load_relaxed(&trt_barrier_asymmetric)) {
        test();
    }
    choose_barrier(false);
    test();
}

/* Steal until told to stop and there is nothing left; the oldest come first. */
static void
be_thief(unsigned number, void *shared)
{
    struct family *f = shared;
    size_t least = 0, stolen = 0;
    unsigned turns = 0;
    (void)number;
    check_gate_pass(&f->start);
    while (!trt_load_acquire(&f->stop)) {
        struct kid *kid = steal(f);
        if (kid == NULL) {
            check_spin(&turns);
            continue;
        }
        CHECK(kid->number >= least);
        least = kid->number + 1;
        stolen++;
        run_stolen(kid);
        trt_fetch_add_relaxed(&f->stolen, 1);
    }
}

static void
thieves_start(struct family *f, struct check_thread *threads, unsigned count)
{
    f->start = (struct check_gate){.count = count + 1};
    check_start_threads(threads, count, be_thief, f);
}

static void
thieves_stop(struct family *f, struct check_thread *threads, unsigned count,
             size_t spawned)
{
    trt_store_release(&f->stop, true);
    check_join_threads(threads, count);
    printf("  %zu of %zu stolen\n", trt_load_relaxed(&f->stolen), spawned);
    CHECK(trt_load_relaxed(&f->stolen) <= spawned);
}

/* The owner joins nothing before all is stolen. */
static void
check_spawned_reach(unsigned thieves)
{
    struct family f;
    struct check_thread threads[CHECK_MOST_THREADS];
    unsigned turns = 0;
    family_init(&f, 100000 / CHECK_SLOWNESS);
    thieves_start(&f, threads, thieves);
    check_gate_pass(&f.start);
    for (size_t i = 0; i < f.count; i++) {
        spawn(&f, i, i);
    }
    while (trt_load_relaxed(&f.stolen) < f.count) {
        check_spin(&turns);
    }
    for (size_t i = f.count; i > 0; i--) {
        CHECK(join(&f, i - 1));
    }
    thieves_stop(&f, threads, thieves, f.count);
    family_destroy(&f);
}

static void
one_to_one(void)
{
    check_spawned_reach(1);
}

static void
test_one_to_one(void)
{
    with_both_barriers(one_to_one);
}

static void
one_to_many(void)
{
    check_spawned_reach(THIEVES);
}

static void
test_one_to_many(void)
{
    with_both_barriers(one_to_many);
}

/* Everybody falls upon many frames: those of the owner are the newest. */
static void
stampede(void)
{
    for (int round = 0; round < 10; round++) {
        struct family f;
        struct check_thread threads[CHECK_MOST_THREADS];
        family_init(&f, 40000 / CHECK_SLOWNESS);
        for (size_t i = 0; i < f.count; i++) {
            spawn(&f, i, i);
        }
        thieves_start(&f, threads, THIEVES);
        check_gate_pass(&f.start);
        bool stolen = false;
        for (size_t i = f.count; i > 0; i--) {
            const bool was_stolen = join(&f, i - 1);
            CHECK(was_stolen || !stolen);
            stolen = was_stolen;
        }
        thieves_stop(&f, threads, THIEVES, f.count);
        family_destroy(&f);
    }
}

static void
test_stampede(void)
{
    with_both_barriers(stampede);
}

enum { STRESS_ROUNDS = 10, STRESS_KIDS = 5000000, STRESS_DEPTH = 1000 };

/* The owner spawns and joins in bursts around the empty stack, where owner and thieves
 * meet; now and then it grows under their hands. */
static void
stress(void)
{
    for (unsigned round = 0; round < STRESS_ROUNDS; round++) {
        struct family f;
        struct check_thread threads[CHECK_MOST_THREADS];
        uint64_t random = check_random_start(round);
        const size_t most = STRESS_KIDS / STRESS_ROUNDS / CHECK_SLOWNESS;
        size_t depth = 0, number = 0;
        family_init(&f, STRESS_DEPTH);
        thieves_start(&f, threads, THIEVES);
        check_gate_pass(&f.start);
        while (number < most) {
            const uint64_t burst = check_random(&random, 50) == 0 ? 500 : 4;
            for (uint64_t n = check_random(&random, burst); n > 0; n--) {
                if (depth < STRESS_DEPTH) {
                    spawn(&f, depth++, number++);
                }
            }
            for (uint64_t n = check_random(&random, burst); n > 0; n--) {
                if (depth > 0) {
                    join(&f, --depth);
                }
            }
        }
        while (depth > 0) {
            join(&f, --depth);
        }
        thieves_stop(&f, threads, THIEVES, number);
        family_destroy(&f);
    }
}

static void
test_stress(void)
{
    with_both_barriers(stress);
}

/* --- waiting for a stolen frame */

struct wait_race {
    trt_frame_waiter waiter; /* first */
    struct check_gate gate;
    trt_frame frame;
    uint64_t payload; /* written by the thief */
    _Atomic(unsigned) resumed;
    uint64_t rounds;
    uint64_t waited; /* how often the owner came first */
};

static void
count_resumed(trt_frame_waiter *waiter)
{
    trt_fetch_add_acq_rel(&((struct wait_race *)waiter)->resumed, 1);
}

/* Owner: whoever is told to wait is resumed, once, and then all is there. */
static void
await_end(struct wait_race *race, uint64_t round)
{
    unsigned turns = 0;
    const bool waits = trt_frame_await(&race->frame, &race->waiter);
    while (waits && trt_load_acquire(&race->resumed) == 0) {
        check_spin(&turns);
    }
    CHECK_EQ(trt_load_relaxed(&race->frame.state), TRT_FRAME_ENDED);
    CHECK_EQ(race->payload, round);
    CHECK_EQ(race->frame.status, status_of(round));
    race->waited += waits;
    check_gate_pass(&race->gate);
    CHECK_EQ(trt_load_relaxed(&race->resumed), waits);
}

static void
play_wait_race(unsigned number, void *shared)
{
    struct wait_race *race = shared;
    uint64_t random = check_random_start(number);
    for (uint64_t round = 0; round < race->rounds; round++) {
        if (number == 0) {
            trt_store_relaxed(&race->frame.state, TRT_FRAME_STOLEN);
            trt_store_relaxed(&race->resumed, 0);
        }
        check_gate_pass(&race->gate);
        check_delay(&random, number == 0 ? 8 : 20);
        if (number == 0) {
            await_end(race, round);
        } else {
            race->payload = round;
            trt_frame_end(&race->frame, status_of(round));
            check_gate_pass(&race->gate);
        }
    }
}

static void
test_waiter_is_resumed_once_or_does_not_wait(void)
{
    struct wait_race race = {.waiter = {count_resumed}, .gate = {.count = 2}};
    race.rounds = 500000 / CHECK_SLOWNESS;
    check_run_threads(2, play_wait_race, &race);
    printf("  waited %" PRIu64 " of %" PRIu64 " times\n", race.waited, race.rounds);
}

/* Leaks show in the build with AddressSanitizer. */
static void
test_destruction(void)
{
    for (size_t count = 1; count < 2000; count *= 3) {
        struct family f;
        family_init(&f, count);
        for (size_t i = 0; i < count; i++) {
            spawn(&f, i, i);
        }
        CHECK_EQ(trt_frames_clear(&f.frames), TRT_CLEAR_FORGOTTEN);
        family_destroy(&f);
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_growth_keeps_frames_and_order);
    RUN(test_newer_frames_are_forgotten);
    RUN(test_frame_that_ran_at_once_is_joined_in_its_turn);
    RUN(test_clear_forgets_all);
    RUN(test_spawn_wakes_if_somebody_sleeps_and_nobody_searches);
    RUN(test_one_to_one);
    RUN(test_one_to_many);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_waiter_is_resumed_once_or_does_not_wait);
    RUN(test_destruction);
    return check_end();
}
