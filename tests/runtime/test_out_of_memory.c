/* When memory runs out, the caller is told and nothing has changed.
 *
 * Linked so that malloc, calloc and realloc come here first (the linker's --wrap).
 */
#include "home.h"
#include "sleeper.h"

#include "native/crew.h"
#include "os/thread.h"
#include "queue/deque.h"
#include "queue/injector.h"
#include "queue/timers.h"
#include "sched/pool.h"
#include "sync/channel.h"

#include <errno.h>

static bool memory_is_out;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);

void *
__wrap_malloc(size_t bytes)
{
    return memory_is_out ? NULL : __real_malloc(bytes);
}

void *
__wrap_calloc(size_t count, size_t bytes)
{
    return memory_is_out ? NULL : __real_calloc(count, bytes);
}

void *
__wrap_realloc(void *block, size_t bytes)
{
    return memory_is_out ? NULL : __real_realloc(block, bytes);
}

static void
test_deque_without_memory_is_as_before(void)
{
    int items[5];
    trt_deque d;
    memory_is_out = true;
    CHECK_EQ(trt_deque_init(&d, 1), -ENOMEM);
    memory_is_out = false;
    CHECK_EQ(trt_deque_init(&d, 1), 0);
    memory_is_out = true;
    CHECK_EQ(trt_deque_push(&d, &items[0]), 0);
    CHECK_EQ(trt_deque_push(&d, &items[1]), 0);
    CHECK_EQ(trt_deque_push(&d, &items[2]), -ENOMEM);
    CHECK_EQ(trt_deque_push(&d, &items[2]), -ENOMEM);
    CHECK_EQ(trt_deque_size(&d), 2);
    CHECK(trt_deque_pop(&d) == &items[1]);
    CHECK_EQ(trt_deque_push(&d, &items[3]), 0); /* there is room again */
    memory_is_out = false;
    CHECK_EQ(trt_deque_push(&d, &items[4]), 0);
    CHECK(trt_deque_pop(&d) == &items[4]);
    CHECK(trt_deque_pop(&d) == &items[3]);
    CHECK(trt_deque_pop(&d) == &items[0]);
    trt_deque_destroy(&d);
}

static void
test_injector_without_memory_is_as_before(void)
{
    enum { MOST = 1000 };
    int items[MOST];
    trt_injector q;
    size_t pushed = 0;
    trt_injector_init(&q);
    memory_is_out = true;
    CHECK_EQ(trt_injector_push(&q, &items[0]), -ENOMEM);
    memory_is_out = false;
    CHECK_EQ(trt_injector_push(&q, &items[pushed++]), 0);
    memory_is_out = true;
    while (trt_injector_push(&q, &items[pushed]) == 0) {
        pushed++;
    }
    CHECK(pushed < MOST);
    CHECK_EQ(trt_injector_size(&q), pushed);
    memory_is_out = false;
    CHECK_EQ(trt_injector_push(&q, &items[pushed++]), 0);
    for (size_t i = 0; i < pushed; i++) {
        CHECK(trt_injector_pop(&q) == &items[i]);
    }
    CHECK(trt_injector_pop(&q) == NULL);
    trt_injector_destroy(&q);
}

static void
test_timers_without_memory_are_as_before(void)
{
    enum { MOST = 1000 };
    trt_timer timers[MOST];
    trt_timers h;
    size_t added = 0;
    trt_timers_init(&h);
    for (size_t i = 0; i < MOST; i++) {
        timers[i] = (trt_timer){.deadline_ns = MOST - i, .index = TRT_TIMER_IDLE};
    }
    memory_is_out = true;
    CHECK_EQ(trt_timers_add(&h, &timers[0]), -ENOMEM);
    memory_is_out = false;
    CHECK_EQ(trt_timers_add(&h, &timers[added++]), 0);
    memory_is_out = true;
    while (trt_timers_add(&h, &timers[added]) == 0) {
        added++;
    }
    CHECK(added < MOST);
    CHECK_EQ(timers[added].index, TRT_TIMER_IDLE);
    memory_is_out = false;
    for (size_t i = added; i > 0; i--) {
        CHECK(trt_timers_pop_due(&h, TRT_FOREVER) == &timers[i - 1]);
    }
    CHECK(trt_timers_pop_due(&h, TRT_FOREVER) == NULL);
    trt_timers_destroy(&h);
}

static void
never_runs(void *ran)
{
    *(bool *)ran = true;
}

static void
test_thread_without_memory_does_not_start(void)
{
    bool ran = false;
    trt_thread thread;
    memory_is_out = true;
    CHECK_EQ(trt_thread_start(&thread, "none", 0, never_runs, &ran), -ENOMEM);
    memory_is_out = false;
    CHECK(!ran);
}

static void
test_frames_without_memory_are_as_before(void)
{
    _Atomic(uint32_t) sleepers = 0;
    const trt_context_api none = {.size = 0};
    trt_frames frames;
    memory_is_out = true;
    CHECK_EQ(trt_frames_init(&frames, &none, &sleepers), -ENOMEM);
    memory_is_out = false;
    CHECK_EQ(trt_frames_init(&frames, &none, &sleepers), 0);
    trt_frame **const slots = frames.slots, **const limit = frames.base.limit;
    memory_is_out = true;
    CHECK(!trt_frames_grow(&frames));
    memory_is_out = false;
    CHECK(frames.slots == slots && frames.base.limit == limit);
    CHECK(trt_frames_grow(&frames));
    trt_frames_destroy(&frames);
}

static void
test_strand_without_memory_is_none(void)
{
    struct home home;
    int number = 3;
    home_init(&home);
    memory_is_out = true;
    CHECK(trt_stack_create(1) == NULL);
    CHECK(trt_strand_take(&home.strands) == NULL);
    memory_is_out = false;
    CHECK_EQ(home_run(&home, return_number, &number), 3);
    memory_is_out = true;
    CHECK_EQ(home_run(&home, return_number, &number), 3);
    memory_is_out = false;
    home_destroy(&home);
}

enum { MANY_CHILDREN = 1000 };

struct child {
    trt_frame frame;
    int *clock; /* one for all children */
    int ran;    /* when, from 1 */
};

static int
note_time(trt_context *ctx, void *arg)
{
    struct child *child = arg;
    (void)ctx;
    child->ran = ++*child->clock;
    return child->ran;
}

static int
spawn_many(trt_context *ctx, void *arg)
{
    struct child *children = arg;
    int clock = 0, ran_at_once = 0;
    memory_is_out = true;
    for (int i = 0; i < MANY_CHILDREN; i++) {
        children[i] = (struct child){.clock = &clock};
        trt_spawn(ctx, &children[i].frame, note_time, &children[i]);
        ran_at_once += children[i].ran > 0;
    }
    memory_is_out = false;
    CHECK(ran_at_once > 0 && ran_at_once < MANY_CHILDREN);
    CHECK_EQ(clock, ran_at_once);
    for (int i = MANY_CHILDREN; i > 0; i--) {
        const int status = trt_join(ctx, &children[i - 1].frame);
        CHECK(status > 0 && status == children[i - 1].ran);
    }
    return clock;
}

static void
test_child_without_memory_runs_at_once(void)
{
    static struct child children[MANY_CHILDREN];
    CHECK_EQ(home_run_alone(spawn_many, children), MANY_CHILDREN);
}

static int
recurse(trt_context *ctx, void *arg)
{
    int *depth = arg;
    trt_frame child;
    if (*depth == 0) {
        return TRT_OK;
    }
    --*depth;
    trt_spawn(ctx, &child, recurse, depth);
    return trt_join(ctx, &child);
}

static void
test_recursion_without_memory_is_too_deep(void)
{
    struct home home;
    home_init(&home);
    for (int round = 0; round < 3; round++) {
        int depth = 10000;
        CHECK_EQ(home_run(&home, recurse, &depth), TRT_OK);
        depth = 1000000;
        memory_is_out = true;
        CHECK_EQ(home_run(&home, recurse, &depth), TRT_TOO_DEEP);
        memory_is_out = false;
        CHECK(depth > 0 && depth < 1000000);
    }
    home_destroy(&home);
}

/* One thread plays both: the spawner, and within its code the thief. */
static int
be_robbed_by(trt_context *ctx, void *arg)
{
    trt_crew *thief = arg;
    int number = 6;
    trt_frame child;
    trt_spawn(ctx, &child, return_number, &number);
    memory_is_out = true;
    CHECK(!trt_crew_turn(thief, NULL));
    CHECK_EQ(trt_load_relaxed(&child.state), TRT_FRAME_PENDING);
    memory_is_out = false;
    CHECK(trt_crew_turn(thief, NULL));
    CHECK_EQ(trt_load_relaxed(&child.state), TRT_FRAME_ENDED);
    return trt_join(ctx, &child);
}

static void
test_thief_without_memory_takes_nothing(void)
{
    trt_pool pool;
    trt_worker workers[2];
    trt_crew crews[2];
    trt_work work;
    trt_work_init(&work);
    CHECK_EQ(trt_pool_init(&pool), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(trt_worker_init(&workers[i], &pool, TRT_WORKER_POOL), 0);
        trt_crew_init(&crews[i], &workers[i], NULL);
    }
    trt_frame root = {.fn = be_robbed_by, .arg = &crews[1]};
    trt_store_relaxed(&root.state, TRT_FRAME_STOLEN);
    trt_strand *s = trt_strand_take(&crews[0].strands);
    trt_crew_adopt(&crews[0], s, &root, &work.cancel);
    CHECK_EQ(trt_load_relaxed(&root.state), TRT_FRAME_ENDED);
    CHECK_EQ(root.status, 6);
    for (int i = 0; i < 2; i++) {
        trt_worker_stop_searching(&workers[i]);
        trt_crew_destroy(&crews[i]);
        trt_worker_destroy(&workers[i]);
    }
    trt_pool_destroy(&pool);
}

/* A channel's first items, and those that make its ring grow. */
static void
test_channel_without_memory_is_as_before(void)
{
    enum { MOST = 1000 };
    static int items[MOST + 1];
    trt_channel c;
    size_t held = 0;
    void *item = NULL;
    trt_channel_init(&c, MOST);
    memory_is_out = true;
    CHECK_EQ(trt_channel_put(&c, &items[0], NULL), TRT_CHANNEL_NO_MEMORY);
    CHECK(!trt_channel_put_back(&c, &items[0]));
    CHECK_EQ(trt_channel_get(&c, &item, NULL), TRT_CHANNEL_MUST_WAIT);
    memory_is_out = false;
    CHECK_EQ(trt_channel_put(&c, &items[held++], NULL), TRT_CHANNEL_DONE);
    CHECK_EQ(trt_channel_get(&c, &item, NULL), TRT_CHANNEL_DONE);
    CHECK(item == &items[0] && trt_channel_put_back(&c, item)); /* not from its start */
    memory_is_out = true;
    while (trt_channel_put(&c, &items[held], NULL) == TRT_CHANNEL_DONE) {
        held++;
    }
    CHECK(held > 1 && held < MOST);
    CHECK_EQ(trt_channel_put(&c, &items[held], NULL), TRT_CHANNEL_NO_MEMORY);
    CHECK(!trt_channel_put_back(&c, &items[MOST]));
    CHECK_EQ(trt_channel_count(&c), held);
    CHECK_EQ(trt_channel_get(&c, &item, NULL), TRT_CHANNEL_DONE);
    CHECK(item == &items[0]);
    CHECK(trt_channel_put_back(&c, item)); /* there is room again */
    memory_is_out = false;
    CHECK_EQ(trt_channel_put(&c, &items[held++], NULL), TRT_CHANNEL_DONE);
    CHECK(trt_channel_put_back(&c, &items[MOST]));
    CHECK_EQ(trt_channel_get(&c, &item, NULL), TRT_CHANNEL_DONE);
    CHECK(item == &items[MOST]);
    for (size_t i = 0; i < held; i++) {
        CHECK_EQ(trt_channel_get(&c, &item, NULL), TRT_CHANNEL_DONE);
        CHECK(item == &items[i]);
    }
    trt_channel_destroy(&c);
}

/* Who waits on the other side gets the item without any. */
static void
test_channel_hands_over_without_memory(void)
{
    trt_channel c;
    struct guest guest;
    int items[2];
    void *item = NULL;
    guests_init(&guest, 1);
    trt_channel_init(&c, 1);
    for (int is_put_back = 0; is_put_back < 2; is_put_back++) {
        guest_begin(&guest);
        CHECK_EQ(trt_channel_get(&c, &item, &guest.node), TRT_CHANNEL_MUST_WAIT);
        memory_is_out = true;
        if (is_put_back) {
            CHECK(trt_channel_put_back(&c, &items[0]));
        } else {
            CHECK_EQ(trt_channel_put(&c, &items[0], NULL), TRT_CHANNEL_DONE);
        }
        memory_is_out = false;
        CHECK(guest_goes_on(&guest) && guest.node.value == &items[0]);
    }
    CHECK_EQ(trt_channel_put(&c, &items[0], NULL), TRT_CHANNEL_DONE);
    guest_begin(&guest);
    CHECK_EQ(trt_channel_put(&c, &items[1], &guest.node), TRT_CHANNEL_MUST_WAIT);
    memory_is_out = true;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(trt_channel_get(&c, &item, NULL), TRT_CHANNEL_DONE);
        CHECK(item == &items[i]);
    }
    memory_is_out = false;
    CHECK(guest_goes_on(&guest) && guest.node.value == NULL);
    trt_channel_destroy(&c);
    guests_destroy(&guest, 1);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_deque_without_memory_is_as_before);
    RUN(test_injector_without_memory_is_as_before);
    RUN(test_timers_without_memory_are_as_before);
    RUN(test_thread_without_memory_does_not_start);
    RUN(test_frames_without_memory_are_as_before);
    RUN(test_strand_without_memory_is_none);
    RUN(test_child_without_memory_runs_at_once);
    RUN(test_recursion_without_memory_is_too_deep);
    RUN(test_thief_without_memory_takes_nothing);
    RUN(test_channel_without_memory_is_as_before);
    RUN(test_channel_hands_over_without_memory);
    return check_end();
}
