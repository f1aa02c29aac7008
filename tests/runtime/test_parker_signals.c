/* No signal is slept through, and none costs a token. */
#include "check.h"

#include "os/parker.h"

#include <sys/wait.h>

#define MS UINT64_C(1000000)

static volatile sig_atomic_t handled;
static trt_parker *unparked_by_handler;

static void
handle(int number)
{
    (void)number;
    handled++;
    if (unparked_by_handler != NULL) {
        trt_parker_unpark(unparked_by_handler);
    }
}

/* A parker that reacts to SIGUSR1, owned by this thread, and the mask without it. */
static void
begin_signals(trt_parker *p, trt_signals *saved)
{
    handled = 0;
    unparked_by_handler = NULL;
    struct sigaction action = {.sa_handler = handle};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    trt_parker_init(p);
    CHECK_EQ(trt_parker_enable_signals(p), 0);
    trt_signals_block(saved);
}

static void
end_signals(trt_parker *p, const trt_signals *saved)
{
    trt_signals_restore(saved);
    trt_parker_destroy(p);
    signal(SIGUSR1, SIG_DFL);
}

static bool
is_blocked(int number)
{
    sigset_t blocked;
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    return sigismember(&blocked, number) == 1;
}

/* The signal comes between the last look and the park. Without the atomic change of the
 * mask the park would sleep for ever. */
static void
test_signal_before_the_park_interrupts_it(void)
{
    trt_parker p;
    trt_signals saved;
    begin_signals(&p, &saved);
    const int rounds = 20000 / CHECK_SLOWNESS;
    for (int i = 0; i < rounds; i++) {
        raise(SIGUSR1);
        CHECK_EQ(handled, i);
        CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER, &saved),
                 TRT_PARK_INTERRUPTED);
        CHECK_EQ(handled, i + 1);
        CHECK(is_blocked(SIGUSR1));
    }
    raise(SIGUSR1);
    CHECK_EQ(trt_parker_park_signals(&p, 0, &saved), TRT_PARK_INTERRUPTED);
    end_signals(&p, &saved);
}

static void
test_signals_park_keeps_tokens_and_deadlines(void)
{
    trt_parker p;
    trt_signals saved;
    begin_signals(&p, &saved);
    CHECK_EQ(trt_parker_enable_signals(&p), 0); /* again: nothing */
    CHECK(!trt_parker_unpark(&p));
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER, &saved), TRT_PARK_NOTIFIED);
    CHECK_EQ(trt_parker_park_signals(&p, 0, &saved), TRT_PARK_TIMED_OUT);
    const uint64_t deadline = trt_clock_now_ns() + MS;
    CHECK_EQ(trt_parker_park_signals(&p, deadline, &saved), TRT_PARK_TIMED_OUT);
    CHECK(trt_clock_now_ns() >= deadline);
    /* With token and signal the token is first, and the signal stays for the
     * restore. */
    raise(SIGUSR1);
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER, &saved), TRT_PARK_NOTIFIED);
    CHECK_EQ(handled, 0);
    trt_signals_restore(&saved);
    CHECK_EQ(handled, 1);
    trt_signals_block(&saved);
    end_signals(&p, &saved);
}

static void
test_handler_may_unpark_the_thread_that_it_interrupts(void)
{
    trt_parker p;
    trt_signals saved;
    begin_signals(&p, &saved);
    unparked_by_handler = &p;
    const int rounds = 2000 / CHECK_SLOWNESS;
    for (int i = 0; i < rounds; i++) {
        raise(SIGUSR1);
        CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER, &saved),
                 TRT_PARK_INTERRUPTED);
        CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER, &saved), TRT_PARK_NOTIFIED);
    }
    unparked_by_handler = NULL;
    end_signals(&p, &saved);
}

struct bell {
    trt_parker *parker;
    pthread_t owner;
    int rounds;
    _Atomic(int) answered; /* rounds that the owner has seen through */
    _Atomic(bool) tokens;  /* unpark as well */
};

static void
send_signals(unsigned number, void *shared)
{
    struct bell *bell = shared;
    uint64_t random = check_random_start(number);
    for (int i = 0; i < bell->rounds; i++) {
        unsigned turns = 0;
        while (trt_load_acquire(&bell->answered) < i) {
            check_spin(&turns);
        }
        check_delay(&random, 3000);
        if (trt_load_relaxed(&bell->tokens)) {
            trt_parker_unpark(bell->parker);
        }
        CHECK_EQ(pthread_kill(bell->owner, SIGUSR1), 0);
    }
}

/* The signal comes at any point of the park, once a round. Lost is a hang. */
static void
check_signals_end_the_park(bool tokens)
{
    trt_parker p;
    trt_signals saved;
    begin_signals(&p, &saved);
    struct bell bell = {.parker = &p, .owner = pthread_self(), .tokens = tokens};
    bell.rounds = 20000 / CHECK_SLOWNESS;
    struct check_thread threads[CHECK_MOST_THREADS];
    check_start_threads(threads, 1, send_signals, &bell);
    for (int i = 0; i < bell.rounds; i++) {
        int notified = 0;
        while (handled < i + 1) {
            const enum trt_park_result result =
                trt_parker_park_signals(&p, TRT_FOREVER, &saved);
            CHECK(result != TRT_PARK_TIMED_OUT);
            CHECK(tokens || result == TRT_PARK_INTERRUPTED);
            notified += result == TRT_PARK_NOTIFIED;
        }
        /* The token of this round came out once, or is still there. */
        notified += tokens && trt_parker_take_token(&p);
        CHECK_EQ(notified, tokens);
        CHECK_EQ(handled, i + 1);
        trt_store_release(&bell.answered, i + 1);
    }
    check_join_threads(threads, 1);
    end_signals(&p, &saved);
}

static void
test_signal_during_the_park_interrupts_it(void)
{
    check_signals_end_the_park(false);
}

static void
test_signal_and_token_together_are_both_kept(void)
{
    check_signals_end_the_park(true);
}

#ifdef TRT_PARKER_ON_FUTEX

struct interruptible {
    trt_parker parker;
    _Atomic(bool) returned;
    enum trt_park_result result;
};

static void
sleep_open_to_signals(unsigned number, void *shared)
{
    struct interruptible *s = shared;
    (void)number;
    sigset_t open;
    sigemptyset(&open);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &open, NULL), 0);
    s->result = trt_parker_park(&s->parker, TRT_FOREVER);
    trt_store_release(&s->returned, true);
}

static void
test_plain_park_is_interrupted_by_a_handled_signal(void)
{
    struct interruptible s = {.returned = false};
    struct check_thread threads[CHECK_MOST_THREADS];
    struct sigaction action = {.sa_handler = handle};
    unparked_by_handler = NULL;
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    trt_parker_init(&s.parker);
    check_start_threads(threads, 1, sleep_open_to_signals, &s);
    unsigned turns = 0;
    while (!trt_load_acquire(&s.returned)) {
        /* Again and again, as the first may come before the system call. */
        CHECK_EQ(pthread_kill(threads[0].handle.handle, SIGUSR1), 0);
        check_spin(&turns);
    }
    check_join_threads(threads, 1);
    CHECK_EQ(s.result, TRT_PARK_INTERRUPTED);
    trt_parker_destroy(&s.parker);
    signal(SIGUSR1, SIG_DFL);
}

#endif

/* The owner could not be woken any more, and the number may be somebody else's file. */
static void
test_closed_descriptor_is_a_panic(void)
{
    const pid_t child = fork();
    if (child == 0) {
        trt_parker p;
        trt_signals saved;
        signal(SIGABRT, SIG_DFL);
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        begin_signals(&p, &saved);
        close(p.wake_fd);
        close(p.write_fd);
        trt_parker_park_signals(&p, TRT_FOREVER, &saved);
        _exit(0);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_signal_before_the_park_interrupts_it);
    RUN(test_signals_park_keeps_tokens_and_deadlines);
    RUN(test_handler_may_unpark_the_thread_that_it_interrupts);
    RUN(test_signal_during_the_park_interrupts_it);
    RUN(test_signal_and_token_together_are_both_kept);
#ifdef TRT_PARKER_ON_FUTEX
    RUN(test_plain_park_is_interrupted_by_a_handled_signal);
#endif
    RUN(test_closed_descriptor_is_a_panic);
    return check_end();
}
