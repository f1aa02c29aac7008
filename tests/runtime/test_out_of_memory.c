/* When memory runs out, the caller is told and nothing has changed.
 *
 * Linked so that malloc, calloc and realloc come here first (the linker's --wrap).
 */
#include "check.h"

#include "os/thread.h"
#include "queue/deque.h"
#include "queue/injector.h"
#include "queue/timers.h"

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

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_deque_without_memory_is_as_before);
    RUN(test_injector_without_memory_is_as_before);
    RUN(test_timers_without_memory_are_as_before);
    RUN(test_thread_without_memory_does_not_start);
    return check_end();
}
