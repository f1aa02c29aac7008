/* Two teams of one pool: what is posted is the interactive team's alone, what lies in
 * the deques is the default team's alone, and who sleeps misses nothing of his own. */
#include "check.h"

#include "sched/pool.h"
#include "sched/worker.h"

/* A worker of each kind. */
struct house {
    trt_pool pool;
    trt_worker main, pool_worker, interactive, foreign;
};

static trt_worker *
worker_at(struct house *house, int i)
{
    trt_worker *const all[] = {&house->main, &house->pool_worker, &house->interactive,
                               &house->foreign};
    return all[i];
}

static void
open_house(struct house *house)
{
    static const trt_worker_kind kinds[] = {TRT_WORKER_MAIN, TRT_WORKER_POOL,
                                            TRT_WORKER_INTERACTIVE, TRT_WORKER_FOREIGN};
    CHECK_EQ(trt_pool_init(&house->pool), 0);
    trt_store_relaxed(&house->pool.teams[TRT_DEFAULT].running, 2);
    trt_store_relaxed(&house->pool.teams[TRT_INTERACTIVE].running, 1);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(trt_worker_init(worker_at(house, i), &house->pool, kinds[i]), 0);
    }
}

static void
close_house(struct house *house)
{
    for (int i = 0; i < 4; i++) {
        trt_worker_stop_searching(worker_at(house, i));
        CHECK(!trt_worker_take(worker_at(house, i)));
        trt_worker_stop_searching(worker_at(house, i));
    }
    for (int team = 0; team < TRT_TEAMS; team++) {
        CHECK_EQ(trt_load_relaxed(&house->pool.teams[team].sleep.word), 0);
    }
    for (int i = 0; i < 4; i++) {
        trt_worker_destroy(worker_at(house, i));
    }
    trt_pool_destroy(&house->pool);
}

static void
test_posted_is_for_the_interactive_team(void)
{
    struct house house;
    int item;
    open_house(&house);
    CHECK_EQ(trt_pool_post(&house.pool, &item), 0);
    CHECK(!trt_worker_sees_work(&house.main));
    CHECK(!trt_worker_sees_work(&house.pool_worker));
    CHECK(!trt_worker_has_at_hand(&house.pool_worker));
    CHECK(!trt_worker_take(&house.main));
    CHECK(!trt_worker_take(&house.pool_worker));
    CHECK(trt_worker_sees_work(&house.interactive));
    CHECK(trt_worker_has_at_hand(&house.interactive));
    CHECK(trt_worker_take(&house.interactive) == &item);
    CHECK(!house.interactive.searching);
    close_house(&house);
}

/* In any deque, its own too, and in the default team's injector. */
static void
test_pushed_is_not_for_the_interactive_team(void)
{
    struct house house;
    int items[5];
    open_house(&house);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(trt_worker_push(worker_at(&house, i), &items[i]), 0);
    }
    CHECK_EQ(trt_injector_push(&house.pool.teams[TRT_DEFAULT].injector, &items[4]), 0);
    CHECK(!trt_worker_sees_work(&house.interactive));
    CHECK(!trt_worker_has_at_hand(&house.interactive));
    CHECK(!trt_worker_take(&house.interactive));
    for (int i = 0; i < 5; i++) {
        CHECK(trt_worker_take(&house.pool_worker) != NULL);
    }
    close_house(&house);
}

static int
do_nothing(trt_context *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return 0;
}

static int
join_stolen(trt_context *ctx, trt_frame *frame)
{
    CHECK_EQ(trt_frames_take((trt_frames *)ctx, frame), TRT_TAKE_STOLEN);
    CHECK_EQ(trt_load_acquire(&frame->state), TRT_FRAME_ENDED);
    return frame->status;
}

/* Children that native code on an interactive thread has spawned, and on another. */
static void
test_children_of_native_code_are_for_the_default_team(void)
{
    static const trt_context_api api = {
        .size = sizeof api, .join_slow = join_stolen, .fence = trt_fence_seq_cst};
    struct house house;
    trt_frames frames;
    _Atomic(uint32_t) cancel;
    trt_frame frame;
    open_house(&house);
    trt_store_relaxed(&cancel, 0);
    CHECK_EQ(trt_frames_init(&frames, &api, &house.pool.teams[TRT_DEFAULT].sleep.word),
             0);
    trt_worker *const spawners[] = {&house.interactive, &house.main};
    for (int i = 0; i < 2; i++) {
        const _Atomic(uint32_t) *work = NULL;
        trt_frames_begin(&frames, &cancel);
        trt_store_release(&spawners[i]->frames, &frames);
        trt_spawn(&frames.base, &frame, do_nothing, NULL);
        CHECK(!trt_worker_sees_work(&house.interactive));
        CHECK(trt_worker_sees_work(&house.pool_worker));
        CHECK(trt_worker_steal_frame(&house.pool_worker, &work) == &frame);
        trt_frame_end(&frame, 7);
        CHECK_EQ(trt_join(&frames.base, &frame), 7);
        CHECK_EQ(trt_frames_clear(&frames), TRT_CLEAR_EMPTY);
        trt_store_release(&spawners[i]->frames, NULL);
    }
    trt_frames_destroy(&frames);
    close_house(&house);
}

static bool
never(trt_worker *w)
{
    (void)w;
    return false;
}

static void
test_what_is_left_goes_to_the_default_team(void)
{
    struct house house;
    int item;
    open_house(&house);
    CHECK_EQ(trt_worker_push(&house.interactive, &item), 0);
    CHECK_EQ(trt_worker_hand_over(&house.interactive), 0);
    CHECK(!trt_worker_sees_work(&house.interactive));
    CHECK(trt_worker_take(&house.pool_worker) == &item);
    close_house(&house);
}

/* Announced as asleep, a worker is woken for its own team's work and for no other. */
static void
test_each_team_wakes_its_own(void)
{
    struct house house;
    int item;
    trt_worker *sleepers[2];
    open_house(&house);
    sleepers[TRT_DEFAULT] = &house.pool_worker;
    sleepers[TRT_INTERACTIVE] = &house.interactive;
    for (int team = 0; team < TRT_TEAMS; team++) {
        trt_worker *const w = sleepers[team];
        trt_sleep_announce(&w->team->sleep, w->index, &w->parker, false);
    }
    CHECK_EQ(trt_pool_post(&house.pool, &item), 0);
    CHECK_EQ(trt_sleep_sleeping(&house.pool.teams[TRT_DEFAULT].sleep), 1);
    CHECK_EQ(trt_sleep_sleeping(&house.pool.teams[TRT_INTERACTIVE].sleep), 0);
    CHECK_EQ(trt_parker_park(&house.interactive.parker, TRT_FOREVER),
             TRT_PARK_NOTIFIED);
    CHECK(trt_worker_take(&house.interactive) == &item);
    CHECK_EQ(trt_worker_push(&house.interactive, &item), 0);
    CHECK_EQ(trt_sleep_sleeping(&house.pool.teams[TRT_DEFAULT].sleep), 0);
    CHECK_EQ(trt_parker_park(&house.pool_worker.parker, TRT_FOREVER),
             TRT_PARK_NOTIFIED);
    for (int team = 0; team < TRT_TEAMS; team++) {
        trt_worker *const w = sleepers[team];
        w->searching = trt_sleep_retract(&w->team->sleep, w->index, true);
    }
    CHECK(trt_worker_take(&house.pool_worker) == &item);
    trt_worker_stop_searching(&house.interactive);
    CHECK_EQ(trt_worker_sleep(&house.interactive, TRT_FOREVER, false, never),
             TRT_PARK_NOTIFIED);
    close_house(&house);
}

/* ---- nothing is lost ------------------------------------------------------------- */

struct relay {
    struct house house;
    uint64_t items;
    _Atomic(uint64_t) taken[TRT_TEAMS];
};

/* Threads 0 and 1 take for a team each, and sleep when there is nothing; 2 and 3 give
 * each team the next when it has taken the one before: a hang if one is lost. */
static void
take_or_sleep(struct relay *relay, trt_worker *w, int team)
{
    while (trt_load_relaxed(&relay->taken[team]) < relay->items) {
        if (trt_worker_take(w)) {
            trt_fetch_add_acq_rel(&relay->taken[team], 1);
        } else {
            trt_worker_sleep(w, TRT_FOREVER, false, NULL);
        }
    }
    trt_worker_stop_searching(w);
}

static void
run_relay(unsigned number, void *shared)
{
    struct relay *relay = shared;
    struct house *house = &relay->house;
    if (number < 2) {
        take_or_sleep(relay, number == 0 ? &house->pool_worker : &house->interactive,
                      (int)number);
        return;
    }
    const int team = (int)number - 2;
    uint64_t random = check_random_start(number);
    for (uint64_t i = 1; i <= relay->items; i++) {
        unsigned turns = 0;
        check_delay(&random, check_random(&random, 50) == 0 ? 20000 : 100);
        CHECK_EQ(team == TRT_DEFAULT ? trt_worker_push(&house->foreign, house)
                                     : trt_pool_post(&house->pool, house),
                 0);
        while (trt_load_acquire(&relay->taken[team]) < i) {
            check_spin(&turns);
        }
    }
}

static void
test_nothing_is_lost_on_either_team(void)
{
    static struct relay relay;
    open_house(&relay.house);
    relay.items = 50 * 1000 / CHECK_SLOWNESS;
    trt_store_relaxed(&relay.taken[TRT_DEFAULT], 0);
    trt_store_relaxed(&relay.taken[TRT_INTERACTIVE], 0);
    check_run_threads(4, run_relay, &relay);
    close_house(&relay.house);
}

/* Several that take what several post, all at the same time. */
struct crowd {
    trt_pool pool;
    trt_worker takers[3];
    uint64_t items;
    _Atomic(uint64_t) posted, taken;
};

static void
run_crowd(unsigned number, void *shared)
{
    struct crowd *crowd = shared;
    if (number >= 3) {
        while (trt_fetch_add_relaxed(&crowd->posted, 1) < crowd->items) {
            CHECK_EQ(trt_pool_post(&crowd->pool, crowd), 0);
        }
        return;
    }
    trt_worker *const w = &crowd->takers[number];
    while (trt_load_acquire(&crowd->taken) < crowd->items) {
        if (!trt_worker_take(w)) {
            trt_worker_sleep(w, TRT_FOREVER, false, NULL);
        } else if (trt_fetch_add_acq_rel(&crowd->taken, 1) + 1 == crowd->items) {
            for (int i = 0; i < 3; i++) {
                trt_parker_unpark(&crowd->takers[i].parker);
            }
        }
    }
    trt_worker_stop_searching(w);
}

static void
test_crowd_takes_each_once(void)
{
    static struct crowd crowd;
    CHECK_EQ(trt_pool_init(&crowd.pool), 0);
    trt_store_relaxed(&crowd.pool.teams[TRT_INTERACTIVE].running, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(trt_worker_init(&crowd.takers[i], &crowd.pool, TRT_WORKER_INTERACTIVE),
                 0);
    }
    crowd.items = 200 * 1000 / CHECK_SLOWNESS;
    trt_store_relaxed(&crowd.posted, 0);
    trt_store_relaxed(&crowd.taken, 0);
    check_run_threads(6, run_crowd, &crowd);
    CHECK_EQ(trt_load_relaxed(&crowd.taken), crowd.items);
    CHECK_EQ(trt_load_relaxed(&crowd.pool.teams[TRT_INTERACTIVE].sleep.word), 0);
    for (int i = 0; i < 3; i++) {
        trt_worker_destroy(&crowd.takers[i]);
    }
    trt_pool_destroy(&crowd.pool);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_posted_is_for_the_interactive_team);
    RUN(test_pushed_is_not_for_the_interactive_team);
    RUN(test_children_of_native_code_are_for_the_default_team);
    RUN(test_what_is_left_goes_to_the_default_team);
    RUN(test_each_team_wakes_its_own);
    RUN(test_nothing_is_lost_on_either_team);
    RUN(test_crowd_takes_each_once);
    return check_end();
}
