/* No token is lost and none is invented. */
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
test_owner_can_tell_a_nudge_from_an_unpark(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK(!trt_parker_nudge(&p)); /* nobody sleeps */
    CHECK(!trt_parker_is_unparked(&p));
    CHECK_EQ(trt_parker_park(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK(trt_parker_was_nudged(&p));

    trt_parker_unpark(&p);
    CHECK(!trt_parker_nudge(&p)); /* which takes nothing from the unpark */
    CHECK(trt_parker_is_unparked(&p));
    CHECK_EQ(trt_parker_park(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK(!trt_parker_was_nudged(&p));

    trt_parker_nudge(&p);
    CHECK(!trt_parker_unpark(&p));
    CHECK(trt_parker_take_token(&p));
    CHECK(!trt_parker_was_nudged(&p));
    CHECK_EQ(trt_parker_park(&p, 0), TRT_PARK_TIMED_OUT);
    CHECK(!trt_parker_was_nudged(&p));
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
    return trt_parker_park_signals(p, deadline_ns);
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
        const int ends[] = {p.read_fd, trt_parker_signal_fd(&p)};
        for (int end = 0; end < 2; end++) {
            CHECK(fcntl(ends[end], F_GETFD) & FD_CLOEXEC);
            CHECK(fcntl(ends[end], F_GETFL) & O_NONBLOCK);
        }
        trt_parker_unpark(&p); /* a token that nobody took */
        trt_parker_destroy(&p);
        CHECK_EQ(lowest_free_fd(), before);
    }
}

static void
use_in_child(trt_parker *p)
{
    const int inherited[] = {p->read_fd, p->write_fd};
    alarm(20);
    trt_parker_reinit_after_fork(p);
    CHECK_EQ(trt_parker_signal_fd(p), -1);
    for (int end = 0; end < 2; end++) {
        CHECK(inherited[end] < 0 || fcntl(inherited[end], F_GETFD) < 0);
    }
    CHECK_EQ(trt_parker_park(p, 0), TRT_PARK_TIMED_OUT); /* not the parent's */
    CHECK(!trt_parker_unpark(p));
    CHECK_EQ(trt_parker_park(p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    unsigned char number = 1;
    CHECK_EQ(trt_parker_enable_signals(p), 0);
    CHECK_EQ(trt_parker_take_signals(p, &number, 1), 0);
    CHECK_EQ(write(trt_parker_signal_fd(p), &number, 1), 1);
    CHECK_EQ(trt_parker_park_signals(p, TRT_FOREVER), TRT_PARK_INTERRUPTED);
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
    CHECK_EQ(write(trt_parker_signal_fd(&other), "\1", 1), 1);
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
    /* Its signal is there still, and none of the child's. */
    unsigned char numbers[3];
    CHECK_EQ(trt_parker_take_signals(&other, numbers, sizeof numbers), 1);
    trt_parker_destroy(&s.parker);
    trt_parker_destroy(&other);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_many_unparks_are_one_token);
    RUN(test_owner_can_tell_a_nudge_from_an_unpark);
    RUN(test_token_counts_for_more_than_a_deadline);
    RUN(test_empty_times_out_but_never_early);
    RUN(test_one_to_one);
    RUN(test_one_to_one_with_signals);
    RUN(test_one_to_many_wakes_exactly_the_one_it_means);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_unpark_keeps_errno);
    RUN(test_destruction_closes_what_was_opened);
    RUN(test_parker_works_again_after_fork);
    return check_end();
}
