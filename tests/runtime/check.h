/* What the C tests of the runtime share.
 *
 *     static void
 *     test_stack_is_last_in_first_out(void)
 *     {
 *         CHECK(pop() == second);
 *     }
 *
 *     int
 *     main(int argc, char **argv)
 *     {
 *         check_begin(argc, argv);            // seed from the first argument, or new
 *         RUN(test_stack_is_last_in_first_out);
 *         return check_end();
 *     }
 *
 * A failed CHECK ends the process at once, so that threads that wait for the failed one
 * do not hang. POSIX only.
 */
#ifndef TRT_TEST_CHECK_H
#define TRT_TEST_CHECK_H

#include "os/atomics.h"
#include "os/clock.h"
#include "os/thread.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a program returns for "cannot be tried here". */
#define CHECK_SKIPPED 77

#define CHECK(cond)                                                                    \
    do {                                                                               \
        if (!(cond)) {                                                                 \
            check_fail(__FILE__, __LINE__, #cond, 0, 0);                               \
        }                                                                              \
    } while (0)

/* Both sides are integers or enums; the message shows their values. */
#define CHECK_EQ(got, want)                                                            \
    do {                                                                               \
        const long long check_got = (long long)(got);                                  \
        const long long check_want = (long long)(want);                                \
        if (check_got != check_want) {                                                 \
            check_fail(__FILE__, __LINE__, #got " == " #want, check_got, check_want);  \
        }                                                                              \
    } while (0)

#define RUN(test) check_run(#test, test)

/* How much of the usual work to do: sanitizers make each operation much dearer. */
#if TRT_THREAD_SANITIZER
#define CHECK_SLOWNESS 20
#elif defined(__SANITIZE_ADDRESS__)
#define CHECK_SLOWNESS 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECK_SLOWNESS 4
#endif
#endif
#ifndef CHECK_SLOWNESS
#define CHECK_SLOWNESS 1
#endif

static const char *check_current = "start";
static uint64_t check_seed;

static inline _Noreturn void
check_fail(const char *file, int line, const char *text, long long got, long long want)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: %s: failed: %s", file, line, check_current, text);
    if (got != want) {
        fprintf(stderr, " (%lld, not %lld)", got, want);
    }
    fprintf(stderr, "; seed %" PRIu64 "\n", check_seed);
    abort();
}

static inline void
check_run(const char *name, void (*test)(void))
{
    check_current = name;
    printf("%s\n", name);
    fflush(stdout);
    test();
}

/* Says which test hangs and leaves the stacks of all threads in the core file. */
static inline void
check_hangs(int signal_number)
{
    (void)signal_number;
    const char *parts[] = {"hangs: ", check_current, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) {
            break;
        }
    }
    abort();
}

static inline void
check_begin(int argc, char **argv)
{
    check_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : trt_clock_now_ns();
    printf("seed %" PRIu64 "\n", check_seed);
    signal(SIGALRM, check_hangs);
    alarm(280); /* before the build tool's own limit, which says less */
}

static inline int
check_end(void)
{
    printf("ok\n");
    return 0;
}

/* A generator of its own for each thread, from the seed and the thread's number. */
static inline uint64_t
check_random_start(uint64_t thread)
{
    return (check_seed + thread + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

/* The next random number below `limit` (xorshift64*). */
static inline uint64_t
check_random(uint64_t *state, uint64_t limit)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * UINT64_C(0x2545F4914F6CDD1D) >> 32) % limit;
}

/* Run for a while before the next step, to spread the orders that a race comes in. */
static inline void
check_delay(uint64_t *state, uint64_t most)
{
    for (uint64_t n = check_random(state, most + 1); n > 0; n--) {
        trt_cpu_relax();
    }
}

/* One turn of a loop that waits for another thread, which may need this core. */
static inline void
check_spin(unsigned *turns)
{
    if (++*turns % 256 == 0) {
        trt_thread_yield();
    } else {
        trt_cpu_relax();
    }
}

/* Lets `count` threads go on together, as often as they come. */
struct check_gate {
    unsigned count;
    _Atomic(unsigned) arrived; /* of this round */
    _Atomic(unsigned) round;   /* the last to arrive moves it and lets the others go */
};

static inline void
check_gate_pass(struct check_gate *gate)
{
    const unsigned round = trt_load_acquire(&gate->round);
    if (trt_fetch_add_acq_rel(&gate->arrived, 1) + 1 == gate->count) {
        trt_store_relaxed(&gate->arrived, 0);
        trt_store_release(&gate->round, round + 1);
        return;
    }
    unsigned turns = 0;
    while (trt_load_acquire(&gate->round) == round) {
        check_spin(&turns);
    }
}

#define CHECK_MOST_THREADS 16

/* A thread of check_start_threads: its number and what the test shares. */
struct check_thread {
    trt_thread handle;
    unsigned number;
    void *shared;
    void (*run)(unsigned number, void *shared);
};

static inline void
check_enter_thread(void *data)
{
    const struct check_thread *thread = data;
    thread->run(thread->number, thread->shared);
}

/* Start threads 0 to count-1 on run(number, shared). */
static inline void
check_start_threads(struct check_thread *threads, unsigned count,
                    void (*run)(unsigned, void *), void *shared)
{
    CHECK(count <= CHECK_MOST_THREADS);
    for (unsigned i = 0; i < count; i++) {
        threads[i] = (struct check_thread){.number = i, .shared = shared, .run = run};
        CHECK_EQ(trt_thread_start(&threads[i].handle, "test", 0, check_enter_thread,
                                  &threads[i]),
                 0);
    }
}

static inline void
check_join_threads(struct check_thread *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        trt_thread_join(&threads[i].handle);
    }
}

/* Run `count` threads to their end. */
static inline void
check_run_threads(unsigned count, void (*run)(unsigned, void *), void *shared)
{
    struct check_thread threads[CHECK_MOST_THREADS];
    check_start_threads(threads, count, run, shared);
    check_join_threads(threads, count);
}

/* Cores that this process may use; races between two threads need two. */
static inline unsigned
check_cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return (unsigned)CPU_COUNT(&set);
    }
#endif
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}

/* Keep the calling thread on the number-th core that this process may use. Two threads
 * that are to meet within nanoseconds must not share one: beside another program of two
 * threads, the kernel may give each program a core, for minutes. */
static inline void
check_stay_on_core(unsigned number)
{
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, &set) && number-- == 0) {
            CPU_ZERO(&set);
            CPU_SET(core, &set);
            CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
            return;
        }
    }
#else
    (void)number;
#endif
}

#endif
