/* No signal is slept through, and none costs a token. */
#include "check.h"

#include "os/parker.h"
#include "os/parker_os.h"

#include <errno.h>
#include <sys/wait.h>

#define MS UINT64_C(1000000)

/* As with Python, where signals are handled on any thread: noted, then written. */
static _Atomic(int) handled;
static _Atomic(int) handler_fd;
static _Atomic(trt_parker *) unparked_by_handler;

static void
handle(int number)
{
    const int saved_errno = errno;
    const unsigned char byte = (unsigned char)number;
    trt_fetch_add_seq_cst(&handled, 1);
    if (write(trt_load_seq_cst(&handler_fd), &byte, 1) < 0 && errno != EAGAIN) {
        abort();
    }
    trt_parker *const p = trt_load_seq_cst(&unparked_by_handler);
    if (p != NULL) {
        trt_parker_unpark(p);
    }
    errno = saved_errno;
}

static void
check_takes(trt_parker *p, int number, size_t times)
{
    unsigned char numbers[TRT_PARKER_SIGNALS];
    CHECK_EQ(trt_parker_take_signals(p, numbers, sizeof numbers), times);
    for (size_t i = 0; i < times; i++) {
        CHECK_EQ(numbers[i], number);
    }
}

/* A parker that SIGUSR1 and SIGUSR2 interrupt, owned by this thread. */
static void
begin_signals(trt_parker *p)
{
    struct sigaction action = {.sa_handler = handle};
    trt_parker_init(p);
    CHECK_EQ(trt_parker_signal_fd(p), -1);
    check_takes(p, 0, 0);
    CHECK_EQ(trt_parker_enable_signals(p), 0);
    trt_store_seq_cst(&handled, 0);
    trt_store_seq_cst(&handler_fd, trt_parker_signal_fd(p));
    trt_store_seq_cst(&unparked_by_handler, NULL);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
}

static void
end_signals(trt_parker *p)
{
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    trt_parker_destroy(p);
}

static void
set_blocked(int number, bool is_blocked)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    CHECK_EQ(pthread_sigmask(is_blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL), 0);
}

/* The signal is handled between the last look and the park. */
static void
test_signal_before_the_park_interrupts_it(void)
{
    trt_parker p;
    begin_signals(&p);
    const int rounds = 20000 / CHECK_SLOWNESS;
    for (int i = 0; i < rounds; i++) {
        raise(SIGUSR1);
        CHECK_EQ(trt_load_seq_cst(&handled), i + 1);
        CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
        check_takes(&p, SIGUSR1, 1);
        CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_TIMED_OUT); /* once only */
    }
    raise(SIGUSR1);
    CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_INTERRUPTED);
    end_signals(&p);
}

static void
test_signals_park_keeps_tokens_and_deadlines(void)
{
    trt_parker p;
    begin_signals(&p);
    const int fd = trt_parker_signal_fd(&p);
    CHECK_EQ(trt_parker_enable_signals(&p), 0); /* again: nothing */
    CHECK_EQ(trt_parker_signal_fd(&p), fd);
    CHECK(!trt_parker_unpark(&p));
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_TIMED_OUT);
    for (int i = 0; i < 50; i++) {
        const uint64_t deadline = trt_clock_now_ns() + MS / 10 * (uint64_t)(i % 15);
        CHECK_EQ(trt_parker_park_signals(&p, deadline), TRT_PARK_TIMED_OUT);
        CHECK(trt_clock_now_ns() >= deadline);
    }
    /* With token and signal the token is first, and the signal stays. */
    raise(SIGUSR1);
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
    check_takes(&p, SIGUSR1, 1);
    end_signals(&p);
}

static void
test_plain_park_leaves_signals_alone(void)
{
    trt_parker p;
    begin_signals(&p);
    raise(SIGUSR1);
    CHECK_EQ(trt_parker_park(&p, 0), TRT_PARK_TIMED_OUT);
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_park(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
    check_takes(&p, SIGUSR1, 1);
    end_signals(&p);
}

static void
test_handler_may_unpark_the_thread_that_it_interrupts(void)
{
    trt_parker p;
    begin_signals(&p);
    trt_store_seq_cst(&unparked_by_handler, &p);
    const int rounds = 2000 / CHECK_SLOWNESS;
    for (int i = 0; i < rounds; i++) {
        raise(SIGUSR1);
        CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
        CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
        check_takes(&p, SIGUSR1, 1);
    }
    end_signals(&p);
}

static void
test_signals_are_taken_in_order_and_once(void)
{
    trt_parker p;
    unsigned char numbers[4];
    begin_signals(&p);
    raise(SIGUSR1);
    raise(SIGUSR2);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
    CHECK_EQ(write(trt_parker_signal_fd(&p), "\0", 1), 1); /* a late ring is none */
    raise(SIGUSR2);
    CHECK_EQ(trt_parker_take_signals(&p, numbers, 2), 2);
    CHECK_EQ(numbers[0], SIGUSR1);
    CHECK_EQ(numbers[1], SIGUSR2);
    raise(SIGUSR1);
    CHECK_EQ(trt_parker_take_signals(&p, numbers, 4), 2); /* without a park between */
    CHECK_EQ(numbers[0], SIGUSR2);
    CHECK_EQ(numbers[1], SIGUSR1);
    CHECK_EQ(trt_parker_take_signals(&p, numbers, 4), 0);
    CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_TIMED_OUT);
    end_signals(&p);
}

static void
test_only_so_many_signals_are_kept(void)
{
    trt_parker p;
    begin_signals(&p);
    for (int i = 0; i < TRT_PARKER_SIGNALS; i++) {
        raise(SIGUSR1);
    }
    for (int i = 0; i < 500; i++) {
        raise(SIGUSR2);
    }
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
    CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_TIMED_OUT);
    raise(SIGUSR2); /* though it is not kept */
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
    check_takes(&p, SIGUSR1, TRT_PARKER_SIGNALS);
    check_takes(&p, 0, 0);
    end_signals(&p);
}

static void
fill_pipe(trt_parker *p)
{
    while (write(trt_parker_signal_fd(p), "", 1) == 1) {
    }
    CHECK_EQ(errno, EAGAIN);
}

static void
test_full_pipe_loses_no_wake_up(void)
{
    trt_parker p;
    begin_signals(&p);
    fill_pipe(&p);
    CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_TIMED_OUT); /* all rings late */
    fill_pipe(&p);
    /* As if the owner were about to poll, which it then does at once. */
    trt_store_seq_cst(&p.word, TRT_PARKER_POLLING);
    errno = EDOM;
    CHECK(trt_parker_unpark(&p));
    CHECK_EQ(errno, EDOM);
    CHECK_EQ(trt_parker_os_poll(&p, TRT_FOREVER), TRT_PARKER_WOKEN);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    /* Signals that fill it interrupt, the last of them without having been written. */
    const unsigned char number = SIGUSR1;
    while (write(trt_parker_signal_fd(&p), &number, 1) == 1) {
    }
    raise(SIGUSR1);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
    CHECK_EQ(trt_parker_park_signals(&p, 0), TRT_PARK_TIMED_OUT);
    check_takes(&p, SIGUSR1, TRT_PARKER_SIGNALS);
    end_signals(&p);
}

/* What a sender does to the owner of `parker`, once a round. */
struct bell {
    trt_parker *parker;
    pthread_t owner;
    bool elsewhere; /* the signal is handled on the sender */
    bool tokens;    /* unpark as well */
    int rounds;
    _Atomic(int) answered; /* rounds that the owner has seen through */
};

static void
send_signals(unsigned number, void *shared)
{
    struct bell *bell = shared;
    uint64_t random = check_random_start(number);
    set_blocked(SIGUSR1, !bell->elsewhere);
    for (int i = 0; i < bell->rounds; i++) {
        unsigned turns = 0;
        while (trt_load_acquire(&bell->answered) < i) {
            check_spin(&turns);
        }
        check_delay(&random, 3000);
        const bool token_first = check_random(&random, 2) == 0;
        if (bell->tokens && token_first) {
            trt_parker_unpark(bell->parker);
        }
        if (bell->elsewhere) {
            CHECK_EQ(kill(getpid(), SIGUSR1), 0); /* the owner blocks it */
        } else {
            CHECK_EQ(pthread_kill(bell->owner, SIGUSR1), 0);
        }
        if (bell->tokens && !token_first) {
            trt_parker_unpark(bell->parker);
        }
    }
}

/* The signal comes at any point of the park, once a round. Lost is a hang. */
static void
check_signals_end_the_park(bool elsewhere, bool tokens)
{
    trt_parker p;
    begin_signals(&p);
    set_blocked(SIGUSR1, elsewhere);
    struct bell bell = {.parker = &p, .owner = pthread_self()};
    bell.elsewhere = elsewhere;
    bell.tokens = tokens;
    bell.rounds = 20000 / CHECK_SLOWNESS;
    struct check_thread threads[CHECK_MOST_THREADS];
    check_start_threads(threads, 1, send_signals, &bell);
    for (int i = 0; i < bell.rounds; i++) {
        size_t taken = 0;
        int notified = 0;
        while (taken == 0 || notified < tokens) {
            const enum trt_park_result result =
                trt_parker_park_signals(&p, TRT_FOREVER);
            unsigned char numbers[2];
            CHECK(result != TRT_PARK_TIMED_OUT);
            CHECK(tokens || result == TRT_PARK_INTERRUPTED);
            notified += result == TRT_PARK_NOTIFIED;
            taken += trt_parker_take_signals(&p, numbers, sizeof numbers);
        }
        CHECK_EQ(taken, 1);
        CHECK_EQ(notified, tokens);
        CHECK_EQ(trt_load_seq_cst(&handled), i + 1);
        trt_store_release(&bell.answered, i + 1);
    }
    check_join_threads(threads, 1);
    check_takes(&p, 0, 0);
    CHECK(!trt_parker_take_token(&p));
    set_blocked(SIGUSR1, false);
    end_signals(&p);
}

static void
test_signal_during_the_park_interrupts_it(void)
{
    check_signals_end_the_park(false, false);
}

static void
test_signal_handled_on_another_thread_interrupts(void)
{
    check_signals_end_the_park(true, false);
}

static void
test_signal_and_token_together_are_both_kept(void)
{
    check_signals_end_the_park(false, true);
    check_signals_end_the_park(true, true);
}

static void
ignore(int number)
{
    (void)number;
}

struct interruptible {
    trt_parker parker;
    enum trt_park_result (*park)(trt_parker *p, uint64_t deadline_ns);
    _Atomic(bool) returned;
    enum trt_park_result result;
};

static void
sleep_interruptibly(unsigned number, void *shared)
{
    struct interruptible *s = shared;
    (void)number;
    s->result = s->park(&s->parker, TRT_FOREVER);
    trt_store_release(&s->returned, true);
}

/* By EINTR: this handler writes nothing. */
static void check_handler_interrupts(enum trt_park_result (*park)(trt_parker *,
                                                                  uint64_t))
{
    struct interruptible s = {.park = park};
    struct check_thread threads[CHECK_MOST_THREADS];
    struct sigaction action = {.sa_handler = ignore};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    trt_parker_init(&s.parker);
    CHECK_EQ(trt_parker_enable_signals(&s.parker), 0);
    check_start_threads(threads, 1, sleep_interruptibly, &s);
    unsigned turns = 0;
    while (!trt_load_acquire(&s.returned)) {
        /* Again and again, as the first may come before the system call. */
        CHECK_EQ(pthread_kill(threads[0].handle.handle, SIGUSR1), 0);
        check_spin(&turns);
    }
    check_join_threads(threads, 1);
    CHECK_EQ(s.result, TRT_PARK_INTERRUPTED);
    check_takes(&s.parker, 0, 0);
    trt_parker_destroy(&s.parker);
    signal(SIGUSR1, SIG_DFL);
}

static void
test_park_is_interrupted_by_a_signal_handled_on_its_thread(void)
{
    check_handler_interrupts(trt_parker_park_signals);
#ifdef TRT_PARKER_ON_FUTEX
    check_handler_interrupts(trt_parker_park);
#endif
}

/* The owner could not be woken any more, and the number may be somebody else's file. */
static void
test_closed_descriptor_is_a_panic(void)
{
    const pid_t child = fork();
    if (child == 0) {
        trt_parker p;
        signal(SIGABRT, SIG_DFL);
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        begin_signals(&p);
        close(p.read_fd);
        close(p.write_fd);
        trt_parker_park_signals(&p, TRT_FOREVER);
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
    RUN(test_plain_park_leaves_signals_alone);
    RUN(test_handler_may_unpark_the_thread_that_it_interrupts);
    RUN(test_signals_are_taken_in_order_and_once);
    RUN(test_only_so_many_signals_are_kept);
    RUN(test_full_pipe_loses_no_wake_up);
    RUN(test_signal_during_the_park_interrupts_it);
    RUN(test_signal_handled_on_another_thread_interrupts);
    RUN(test_signal_and_token_together_are_both_kept);
    RUN(test_park_is_interrupted_by_a_signal_handled_on_its_thread);
    RUN(test_closed_descriptor_is_a_panic);
    return check_end();
}
