/* Threads start as asked, and mutexes exclude. */
#include "check.h"

#include <sys/wait.h>

static void
store_true(void *flag)
{
    trt_store_release((_Atomic(bool) *)flag, true);
}

static void
test_thread_runs_and_joins(void)
{
    _Atomic(bool) ran = false;
    trt_thread thread;
    CHECK_EQ(trt_thread_start(&thread, "short", 0, store_true, &ran), 0);
    trt_thread_join(&thread);
    CHECK(trt_load_relaxed(&ran));
}

static void
test_detached_thread_runs_on(void)
{
    static _Atomic(bool) ran;
    trt_thread thread;
    CHECK_EQ(trt_thread_start(&thread, "detached", 0, store_true, &ran), 0);
    trt_thread_detach(&thread);
    unsigned turns = 0;
    while (!trt_load_acquire(&ran)) {
        check_spin(&turns);
    }
}

struct surroundings {
    char name[32];
    sigset_t blocked;
    char *low;
    char *high;
    char *here;
};

static void
look_around(void *data)
{
    struct surroundings *seen = data;
    char here;
    seen->here = &here;
    CHECK_EQ(pthread_getname_np(pthread_self(), seen->name, sizeof seen->name), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &seen->blocked), 0);
    CHECK(trt_thread_stack_bounds(&seen->low, &seen->high));
}

static struct surroundings
surroundings_of_thread(const char *name, size_t stack_bytes)
{
    struct surroundings seen;
    trt_thread thread;
    CHECK_EQ(trt_thread_start(&thread, name, stack_bytes, look_around, &seen), 0);
    trt_thread_join(&thread);
    return seen;
}

static void
test_thread_has_its_name_cut_to_fit(void)
{
    CHECK(strcmp(surroundings_of_thread("taskrt-1", 0).name, "taskrt-1") == 0);
    CHECK(strcmp(surroundings_of_thread("fifteen-letters-and-more", 0).name,
                 "fifteen-letters") == 0);
}

static void
test_thread_blocks_what_its_creator_blocks(void)
{
    sigset_t some, before, after;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigaddset(&some, SIGHUP);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &some, &before), 0);
    const struct surroundings seen = surroundings_of_thread("some", 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, &after), 0);
    const struct surroundings usual = surroundings_of_thread("usual", 0);
    for (int number = 1; number < NSIG; number++) {
        const int is_some = number == SIGUSR1 || number == SIGHUP;
        CHECK_EQ(sigismember(&seen.blocked, number) == 1, is_some);
        CHECK_EQ(sigismember(&after, number) == 1, is_some);
        CHECK_EQ(sigismember(&usual.blocked, number), sigismember(&before, number));
    }
}

static void
start_process(void *child)
{
    *(pid_t *)child = fork();
    if (*(pid_t *)child == 0) {
        alarm(20);
        for (;;) {
            pause();
        }
    }
}

static void
test_process_started_by_a_thread_can_be_terminated(void)
{
    pid_t child = 0;
    trt_thread thread;
    CHECK_EQ(trt_thread_start(&thread, "parent", 0, start_process, &child), 0);
    trt_thread_join(&thread);
    int status = 0;
    CHECK(child > 0);
    CHECK_EQ(kill(child, SIGTERM), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void
test_thread_has_the_stack_it_was_given(void)
{
    const size_t asked = (5 << 20) + 1; /* not a multiple of a page */
    const struct surroundings seen = surroundings_of_thread("stack", asked);
    CHECK(seen.low < seen.here && seen.here < seen.high);
    CHECK((size_t)(seen.high - seen.low) >= asked - (1 << 20));
    /* 0 is the platform's default, and less than the least is raised to it. */
    CHECK(surroundings_of_thread("default", 0).low != NULL);
    CHECK(surroundings_of_thread("tiny", 1).low != NULL);
}

static void
use_lowest_byte(void *data)
{
    char *low, *high;
    (void)data;
    CHECK(trt_thread_stack_bounds(&low, &high));
    *(volatile char *)low = 1;
}

static void
test_lowest_byte_of_the_stack_is_usable(void)
{
    trt_thread thread;
    CHECK_EQ(trt_thread_start(&thread, "low", 1 << 20, use_lowest_byte, NULL), 0);
    trt_thread_join(&thread);
}

static void
test_main_thread_knows_its_stack(void)
{
    char here;
    char *low = NULL, *high = NULL;
    CHECK(trt_thread_stack_bounds(&low, &high));
    CHECK(low < &here && &here < high);
}

static void
test_impossible_stack_is_refused(void)
{
    _Atomic(bool) ran = false;
    trt_thread thread;
    CHECK(trt_thread_start(&thread, "huge", SIZE_MAX / 4, store_true, &ran) < 0);
    CHECK(trt_thread_start(&thread, "huger", SIZE_MAX, store_true, &ran) < 0);
    CHECK(!trt_load_relaxed(&ran));
}

#define INCREMENTS (100000 / CHECK_SLOWNESS)

struct guarded {
    trt_mutex lock;
    long value; /* under the lock */
};

static void
increment_locked(unsigned number, void *shared)
{
    struct guarded *guarded = shared;
    (void)number;
    for (int i = 0; i < INCREMENTS; i++) {
        trt_mutex_lock(&guarded->lock);
        guarded->value++;
        trt_mutex_unlock(&guarded->lock);
    }
}

static void
test_mutex_excludes(void)
{
    struct guarded guarded = {.value = 0};
    trt_mutex_init(&guarded.lock);
    check_run_threads(4, increment_locked, &guarded);
    CHECK_EQ(guarded.value, 4 * INCREMENTS);
    trt_mutex_destroy(&guarded.lock);
}

static void
check_child_succeeds(pid_t child)
{
    int status = 0;
    CHECK(child > 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
test_mutex_is_free_after_fork(void)
{
    trt_mutex lock;
    trt_mutex_init(&lock);
    trt_mutex_lock(&lock);
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        trt_mutex_reinit_after_fork(&lock);
        trt_mutex_lock(&lock);
        trt_mutex_unlock(&lock);
        _exit(0);
    }
    check_child_succeeds(child);
    trt_mutex_unlock(&lock); /* the parent's is as it was */
    trt_mutex_destroy(&lock);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_thread_runs_and_joins);
    RUN(test_detached_thread_runs_on);
    RUN(test_thread_has_its_name_cut_to_fit);
    RUN(test_thread_blocks_what_its_creator_blocks);
    RUN(test_process_started_by_a_thread_can_be_terminated);
    RUN(test_thread_has_the_stack_it_was_given);
    RUN(test_lowest_byte_of_the_stack_is_usable);
    RUN(test_main_thread_knows_its_stack);
    RUN(test_impossible_stack_is_refused);
    RUN(test_mutex_excludes);
    RUN(test_mutex_is_free_after_fork);
    return check_end();
}
