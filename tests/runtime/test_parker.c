/* No token is lost, none is invented, and no signal is slept through. */
#include "check.h"

#include "os/parker.h"
#include "os/parker_os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#define MS UINT64_C(1000000)

static bool
is_asleep(trt_parker *p)
{
    const uint32_t word = trt_load_acquire(&p->word);
    return word == TRT_PARKER_ASLEEP || word == TRT_PARKER_POLLING;
}

static void
wait_until_asleep(trt_parker *p)
{
    unsigned turns = 0;
    while (!is_asleep(p)) {
        check_spin(&turns);
    }
}

static uint64_t
soon(void)
{
    return trt_clock_now_ns() + MS;
}

/* ---- tokens
 * ------------------------------------------------------------------------ */

static void
test_smoke(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK(!trt_parker_unpark(&p)); /* nobody sleeps */
    CHECK_EQ(trt_parker_park(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    trt_parker_destroy(&p);
}

static void
test_many_unparks_are_one_token(void)
{
    trt_parker p;
    trt_parker_init(&p);
    for (int i = 0; i < 3; i++) {
        CHECK(!trt_parker_unpark(&p));
    }
    CHECK(trt_parker_take_token(&p));
    CHECK(!trt_parker_take_token(&p));
    CHECK_EQ(trt_parker_park(&p, 0), TRT_PARK_TIMED_OUT);
    trt_parker_destroy(&p);
}

static void
test_token_counts_for_more_than_a_deadline(void)
{
    trt_parker p;
    trt_parker_init(&p);
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_park(&p, 0), TRT_PARK_NOTIFIED);
    trt_parker_destroy(&p);
}

static void
test_empty_times_out_but_never_early(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK_EQ(trt_parker_park(&p, 0), TRT_PARK_TIMED_OUT);
    for (int i = 0; i < 50; i++) {
        const uint64_t deadline = trt_clock_now_ns() + MS / 10 * (uint64_t)(i % 5);
        CHECK_EQ(trt_parker_park(&p, deadline), TRT_PARK_TIMED_OUT);
        CHECK(trt_clock_now_ns() >= deadline);
    }
    CHECK(!trt_parker_take_token(&p));
    trt_parker_destroy(&p);
}

struct handover {
    trt_parker parkers[2];
    uint64_t rounds;
    uint64_t value; /* plain: the park must make it visible */
    bool signals;   /* park as the main thread does */
};

static enum trt_park_result
park(struct handover *h, trt_parker *p, uint64_t deadline_ns)
{
    if (!h->signals) {
        return trt_parker_park(p, deadline_ns);
    }
    trt_signals saved;
    trt_signals_block(&saved);
    const enum trt_park_result result = trt_parker_park_signals(p, deadline_ns, &saved);
    trt_signals_restore(&saved);
    return result;
}

static void
play_ping_pong(unsigned number, void *shared)
{
    struct handover *h = shared;
    for (uint64_t round = 0; round < h->rounds; round++) {
        if (number == 1) {
            trt_parker_unpark(&h->parkers[0]);
        }
        CHECK_EQ(park(h, &h->parkers[number], TRT_FOREVER), TRT_PARK_NOTIFIED);
        CHECK_EQ(h->value, 2 * round + number);
        h->value++;
        if (number == 0) {
            trt_parker_unpark(&h->parkers[1]);
        }
    }
}

static void
check_ping_pong(bool signals)
{
    struct handover h = {.rounds = 100000 / CHECK_SLOWNESS, .signals = signals};
    for (int i = 0; i < 2; i++) {
        trt_parker_init(&h.parkers[i]);
        if (signals) {
            CHECK_EQ(trt_parker_enable_signals(&h.parkers[i]), 0);
        }
    }
    check_run_threads(2, play_ping_pong, &h);
    CHECK_EQ(h.value, 2 * h.rounds);
    for (int i = 0; i < 2; i++) {
        trt_parker_destroy(&h.parkers[i]);
    }
}

static void
test_one_to_one(void)
{
    check_ping_pong(false);
}

static void
test_one_to_one_with_signals(void)
{
    check_ping_pong(true);
}

struct sleeper {
    trt_parker parker;
    enum trt_park_result result;
};

static void
sleep_once(unsigned number, void *shared)
{
    struct sleeper *s = &((struct sleeper *)shared)[number];
    s->result = trt_parker_park(&s->parker, TRT_FOREVER);
}

static void
test_one_to_many_wakes_exactly_the_one_it_means(void)
{
    enum { COUNT = 4 };
    struct sleeper sleepers[COUNT];
    struct check_thread threads[CHECK_MOST_THREADS];
    for (int i = 0; i < COUNT; i++) {
        trt_parker_init(&sleepers[i].parker);
    }
    check_start_threads(threads, COUNT, sleep_once, sleepers);
    for (int i = 0; i < COUNT; i++) {
        wait_until_asleep(&sleepers[i].parker);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        CHECK(trt_parker_unpark(&sleepers[i].parker)); /* it had to be woken */
        trt_thread_join(&threads[i].handle);
        CHECK_EQ(sleepers[i].result, TRT_PARK_NOTIFIED);
        for (int other = 0; other < i; other++) {
            CHECK(is_asleep(&sleepers[other].parker));
        }
    }
    for (int i = 0; i < COUNT; i++) {
        trt_parker_destroy(&sleepers[i].parker);
    }
}

struct crowd {
    trt_parker parker;
    _Atomic(uint64_t) sent;
    uint64_t each;
};

static void
send_many(unsigned number, void *shared)
{
    struct crowd *crowd = shared;
    uint64_t random = check_random_start(number);
    for (uint64_t i = 0; i < crowd->each; i++) {
        trt_fetch_add_relaxed(&crowd->sent, 1);
        trt_parker_unpark(&crowd->parker);
        check_delay(&random, 30);
    }
}

/* After each unpark there is a park that returns and sees what was sent before it. The
 * owner parks without a deadline, so a lost token is a hang. */
static void
check_crowd_is_heard(bool signals, bool deadlines)
{
    enum { SENDERS = 4 };
    struct crowd crowd = {.each = 40000 / CHECK_SLOWNESS};
    struct handover how = {.signals = signals};
    struct check_thread threads[CHECK_MOST_THREADS];
    uint64_t random = check_random_start(99);
    trt_parker_init(&crowd.parker);
    if (signals) {
        CHECK_EQ(trt_parker_enable_signals(&crowd.parker), 0);
    }
    check_start_threads(threads, SENDERS, send_many, &crowd);
    while (trt_load_relaxed(&crowd.sent) < SENDERS * crowd.each) {
        const uint64_t deadline =
            deadlines ? trt_clock_now_ns() + check_random(&random, 20000) : TRT_FOREVER;
        const enum trt_park_result result = park(&how, &crowd.parker, deadline);
        CHECK(result == TRT_PARK_NOTIFIED || deadlines);
        CHECK(result != TRT_PARK_INTERRUPTED);
    }
    check_join_threads(threads, SENDERS);
    trt_parker_destroy(&crowd.parker);
}

static void
test_stampede(void)
{
    check_crowd_is_heard(false, false);
    check_crowd_is_heard(true, false);
}

static void
test_stress(void)
{
    check_crowd_is_heard(false, true);
    check_crowd_is_heard(true, true);
}

/* ---- signals
 * ----------------------------------------------------------------------- */

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
    const uint64_t deadline = soon();
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

static void
test_unpark_keeps_errno(void)
{
    struct sleeper s;
    struct check_thread threads[CHECK_MOST_THREADS];
    trt_parker_init(&s.parker);
    check_start_threads(threads, 1, sleep_once, &s);
    wait_until_asleep(&s.parker);
    errno = EDOM;
    CHECK(trt_parker_unpark(&s.parker));
    CHECK_EQ(errno, EDOM);
    check_join_threads(threads, 1);
    trt_parker_destroy(&s.parker);
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
    wait_until_asleep(&s.parker);
    unsigned turns = 0;
    while (!trt_load_acquire(&s.returned)) {
        /* Again and again, as the first may come just before the system call. */
        CHECK_EQ(pthread_kill(threads[0].handle.handle, SIGUSR1), 0);
        check_spin(&turns);
    }
    check_join_threads(threads, 1);
    CHECK_EQ(s.result, TRT_PARK_INTERRUPTED);
    trt_parker_destroy(&s.parker);
    signal(SIGUSR1, SIG_DFL);
}

#endif

/* ---- life
 * -------------------------------------------------------------------------- */

static int
lowest_free_fd(void)
{
    const int fd = dup(STDOUT_FILENO);
    CHECK(fd >= 0);
    close(fd);
    return fd;
}

static void
test_destruction_closes_what_was_opened(void)
{
    const int before = lowest_free_fd();
    for (int i = 0; i < 1000; i++) {
        trt_parker p;
        trt_parker_init(&p);
        CHECK_EQ(lowest_free_fd(), before); /* nothing is opened before it is asked */
        CHECK_EQ(trt_parker_enable_signals(&p), 0);
        CHECK(fcntl(p.wake_fd, F_GETFD) & FD_CLOEXEC);
        CHECK(fcntl(p.write_fd, F_GETFD) & FD_CLOEXEC);
        trt_parker_unpark(&p); /* a token that nobody took */
        trt_parker_destroy(&p);
        CHECK_EQ(lowest_free_fd(), before);
    }
}

static void
use_in_child(trt_parker *p)
{
    const int inherited = p->wake_fd;
    alarm(20);
    trt_parker_reinit_after_fork(p);
    CHECK(inherited < 0 || fcntl(inherited, F_GETFD) < 0);
    CHECK_EQ(trt_parker_park(p, 0), TRT_PARK_TIMED_OUT); /* not the parent's */
    CHECK(!trt_parker_unpark(p));
    CHECK_EQ(trt_parker_park(p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK_EQ(trt_parker_enable_signals(p), 0);
    trt_parker_destroy(p);
}

static void
test_parker_works_again_after_fork(void)
{
    struct sleeper s;
    struct check_thread threads[CHECK_MOST_THREADS];
    trt_parker other;
    trt_parker_init(&s.parker);
    trt_parker_init(&other);
    CHECK_EQ(trt_parker_enable_signals(&other), 0);
    trt_parker_unpark(&other);
    check_start_threads(threads, 1, sleep_once, &s);
    wait_until_asleep(&s.parker);
    const pid_t child = fork();
    if (child == 0) {
        use_in_child(&s.parker); /* somebody sleeps in it, in the parent */
        use_in_child(&other);
        _exit(0);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(trt_parker_unpark(&s.parker)); /* the parent's sleeps on undisturbed */
    check_join_threads(threads, 1);
    CHECK_EQ(s.result, TRT_PARK_NOTIFIED);
    CHECK(trt_parker_take_token(&other));
    trt_parker_destroy(&s.parker);
    trt_parker_destroy(&other);
}

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
    RUN(test_smoke);
    RUN(test_many_unparks_are_one_token);
    RUN(test_token_counts_for_more_than_a_deadline);
    RUN(test_empty_times_out_but_never_early);
    RUN(test_one_to_one);
    RUN(test_one_to_one_with_signals);
    RUN(test_one_to_many_wakes_exactly_the_one_it_means);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_signal_before_the_park_interrupts_it);
    RUN(test_signals_park_keeps_tokens_and_deadlines);
    RUN(test_handler_may_unpark_the_thread_that_it_interrupts);
    RUN(test_signal_during_the_park_interrupts_it);
    RUN(test_signal_and_token_together_are_both_kept);
    RUN(test_unpark_keeps_errno);
#ifdef TRT_PARKER_ON_FUTEX
    RUN(test_plain_park_is_interrupted_by_a_handled_signal);
#endif
    RUN(test_destruction_closes_what_was_opened);
    RUN(test_parker_works_again_after_fork);
    RUN(test_closed_descriptor_is_a_panic);
    return check_end();
}
