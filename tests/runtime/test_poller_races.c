/* Many wait for descriptors, lose patience and are cancelled, while others write to
 * them and look: each byte wakes its reader. */
#include "sleeper.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "sync/poller.h"

enum { LINES = 4 };

struct race {
    trt_poller poller;
    struct dormitory guests;
    int lines[LINES][2];  /* bytes go from [1] to [0] */
    size_t bytes;         /* for each line */
    size_t guests_a_line; /* who share a line take each other's bytes */
    _Atomic(size_t) taken[LINES];
    _Atomic(size_t) abandoned, vain, forgotten;
    bool forgets;
};

static bool
take_byte(int fd)
{
    char byte;
    const ssize_t got = read(fd, &byte, 1);
    CHECK(got == 1 || (got < 0 && errno == EAGAIN));
    return got == 1;
}

/* Wait for the line. False: abandoned. */
static bool
wait_for(struct race *race, size_t line, struct sleeper *sleeper, uint64_t deadline_ns)
{
    trt_wait_node node;
    const int fd = race->lines[line][0];
    trt_wait_node_init(&node, &sleeper->waiter, NULL);
    sleeper_begin(sleeper);
    CHECK_EQ(trt_poller_enter(&race->poller), 0);
    CHECK_EQ(trt_poller_queue(&race->poller, fd, false, &node), 0);
    const bool served = sleeper_wait(sleeper, deadline_ns);
    if (!served) {
        trt_poller_leave(&race->poller, fd, false, &node);
    }
    trt_poller_exit(&race->poller);
    CHECK_EQ(node.served, served);
    CHECK(!node.queued);
    return served;
}

/* Take bytes from one line until all have been taken. */
static void
take(struct race *race, unsigned number, uint64_t *random)
{
    const size_t line = number / race->guests_a_line;
    while (trt_load_relaxed(&race->taken[line]) < race->bytes) {
        /* A short one at times, or who shares a line might never learn of the end. */
        const uint64_t patience =
            race->guests_a_line > 1 ? trt_clock_now_ns() + check_random(random, 500000)
                                    : sleeper_patience(random);
        if (!wait_for(race, line, &race->guests.beds[number], patience)) {
            trt_fetch_add_relaxed(&race->abandoned, 1);
        } else if (take_byte(race->lines[line][0])) {
            trt_fetch_add_relaxed(&race->taken[line], 1);
        } else {
            trt_fetch_add_relaxed(&race->vain, 1);
            CHECK(race->forgets || race->guests_a_line > 1);
        }
    }
    dormitory_leave(&race->guests);
}

static void
send_all(struct race *race, uint64_t *random)
{
    size_t left[LINES], total = 0;
    for (size_t line = 0; line < LINES; line++) {
        left[line] = race->bytes;
        total += race->bytes;
    }
    while (total > 0) {
        const size_t line = check_random(random, LINES);
        if (left[line] > 0 && write(race->lines[line][1], "x", 1) == 1) {
            left[line]--;
            total--;
        }
        check_delay(random, 300);
        if (race->forgets && check_random(random, 4) == 0) {
            trt_poller_forget(&race->poller, race->lines[line][0]);
            trt_fetch_add_relaxed(&race->forgotten, 1);
        }
    }
}

/* As a worker does that goes to bed with it. */
static void
collect(struct race *race)
{
    while (dormitory_is_busy(&race->guests)) {
        if (!trt_poller_try_hold(&race->poller)) {
            trt_thread_yield();
            continue;
        }
        struct pollfd watched = {.fd = trt_poller_fd(&race->poller), .events = POLLIN};
        (void)poll(&watched, 1, 1);
        trt_poller_release(&race->poller);
        trt_poller_collect(&race->poller);
    }
}

/* Guests, one who sends, two who collect, one who cancels. */
static void
play(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number);
    if (number < race->guests.count) {
        take(race, number, &random);
    } else if (number == race->guests.count) {
        send_all(race, &random);
    } else if (number < race->guests.count + 3) {
        collect(race);
    } else {
        dormitory_disturb(&race->guests, &random);
    }
}

static void
run_race(size_t guests_a_line, bool forgets)
{
    struct race race = {.bytes = 2000 / CHECK_SLOWNESS,
                        .guests_a_line = guests_a_line,
                        .forgets = forgets};
    const unsigned guests = LINES * (unsigned)guests_a_line;
    trt_poller_init(&race.poller);
    dormitory_open(&race.guests, guests);
    for (size_t line = 0; line < LINES; line++) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, race.lines[line]),
                 0);
    }
    check_run_threads(guests + 4, play, &race);
    for (size_t line = 0; line < LINES; line++) {
        CHECK_EQ(trt_load_relaxed(&race.taken[line]), race.bytes);
        CHECK(!take_byte(race.lines[line][0]));
        close(race.lines[line][0]);
        close(race.lines[line][1]);
    }
    printf("  %zu abandoned, %zu in vain, %zu forgotten\n",
           trt_load_relaxed(&race.abandoned), trt_load_relaxed(&race.vain),
           trt_load_relaxed(&race.forgotten));
    CHECK_EQ(trt_load_relaxed(&race.poller.waits), 0);
    dormitory_close(&race.guests);
    trt_poller_destroy(&race.poller);
}

static void
test_each_byte_wakes_its_reader(void)
{
    run_race(1, false);
}

static void
test_readers_that_are_told_to_give_up(void)
{
    run_race(1, true);
}

static void
test_stampede_for_one_descriptor(void)
{
    run_race(3, false);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_each_byte_wakes_its_reader);
    RUN(test_readers_that_are_told_to_give_up);
    RUN(test_stampede_for_one_descriptor);
    return check_end();
}
