/* Who waits for a descriptor goes on when it is ready, has an error or is given up; and
 * only then, and once. */
#include "sleeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "sync/poller.h"

enum { READS, WRITES };

/* The guest waits for `fd`. */
static void
come(trt_poller *p, struct guest *g, int fd, int way)
{
    guest_begin(g);
    CHECK_EQ(trt_poller_enter(p), 0);
    CHECK_EQ(trt_poller_queue(p, fd, way == WRITES, &g->node), 0);
    CHECK(g->node.queued);
}

/* It was served: see that, and let it go. */
static void
check_served(trt_poller *p, struct guest *g)
{
    CHECK(guest_goes_on(g));
    trt_poller_exit(p);
}

/* It has not been served: give up and leave. */
static void
give_up(trt_poller *p, struct guest *g, int fd, int way)
{
    CHECK(!guest_goes_on(g));
    guest_abandon(g);
    trt_poller_leave(p, fd, way == WRITES, &g->node);
    trt_poller_exit(p);
}

static void
make_pair(int fds[2])
{
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void
close_pair(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void
send_byte(int fd)
{
    CHECK_EQ(write(fd, "x", 1), 1);
}

static bool
take_byte(int fd)
{
    char byte;
    const ssize_t got = read(fd, &byte, 1);
    CHECK(got == 1 || (got < 0 && errno == EAGAIN));
    return got == 1;
}

static void
fill(int fd)
{
    static const char bytes[4096];
    while (write(fd, bytes, sizeof bytes) > 0) {
    }
    CHECK_EQ(errno, EAGAIN);
}

/* A poller, guests, and a pair of sockets that are connected unless `fds` is NULL. */
static void
open_scene(trt_poller *p, struct guest *guests, size_t count, int *fds)
{
    trt_poller_init(p);
    guests_init(guests, count);
    if (fds) {
        make_pair(fds);
    }
}

static void
close_scene(trt_poller *p, struct guest *guests, size_t count, const int *fds)
{
    if (fds) {
        close_pair(fds);
    }
    CHECK_EQ(trt_load_relaxed(&p->waits), 0);
    trt_poller_destroy(p);
    guests_destroy(guests, count);
}

static void
test_smoke(void)
{
    trt_poller p;
    struct guest guest;
    int fds[2];
    open_scene(&p, &guest, 1, fds);
    for (int i = 0; i < 3; i++) {
        come(&p, &guest, fds[0], READS);
        CHECK_EQ(trt_poller_collect(&p), 0);
        send_byte(fds[1]);
        CHECK(!guest_goes_on(&guest)); /* nobody has looked */
        CHECK_EQ(trt_poller_collect(&p), 1);
        check_served(&p, &guest);
        CHECK_EQ(trt_poller_collect(&p), 0); /* one event a wait */
        CHECK(take_byte(fds[0]));
    }
    close_scene(&p, &guest, 1, fds);
}

static void
test_empty(void)
{
    trt_poller p;
    trt_poller_init(&p);
    trt_poller_forget(&p, 0);
    trt_poller_forget(&p, -1);
    trt_poller_forget(&p, INT32_MAX);
    CHECK(!trt_poller_try_hold(&p)); /* nobody waits */
    CHECK_EQ(trt_poller_enter(&p), 0);
    CHECK_EQ(trt_poller_collect(&p), 0);
    trt_poller_exit(&p);
    trt_poller_destroy(&p);
}

static void
test_one_holds_it_at_a_time_while_somebody_waits(void)
{
    trt_poller p;
    trt_poller_init(&p);
    CHECK_EQ(trt_poller_enter(&p), 0);
    CHECK_EQ(trt_poller_enter(&p), 0);
    const int fd = trt_poller_fd(&p);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(trt_poller_try_hold(&p));
    CHECK(!trt_poller_try_hold(&p));
    trt_poller_release(&p);
    trt_poller_exit(&p);
    CHECK(trt_poller_try_hold(&p));
    trt_poller_exit(&p);
    trt_poller_release(&p);
    CHECK(!trt_poller_try_hold(&p));
    CHECK_EQ(trt_poller_fd(&p), fd);
    trt_poller_destroy(&p);
    CHECK(fcntl(fd, F_GETFD) < 0);
}

static void
test_what_is_ready_already_is_told_at_the_next_look(void)
{
    trt_poller p;
    struct guest guests[2];
    int fds[2];
    open_scene(&p, guests, 2, fds);
    send_byte(fds[1]);
    come(&p, &guests[0], fds[0], READS);
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[0]);
    come(&p, &guests[1], fds[0], READS); /* the byte is there still */
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[1]);
    close_scene(&p, guests, 2, fds);
}

static void
test_each_way_of_one_descriptor_is_served_by_itself(void)
{
    trt_poller p;
    struct guest guests[2];
    int fds[2];
    open_scene(&p, guests, 2, fds);
    for (int first = READS; first <= WRITES; first++) {
        come(&p, &guests[first], fds[0], first);
        come(&p, &guests[!first], fds[0], !first);
        CHECK_EQ(trt_poller_collect(&p), 1);
        check_served(&p, &guests[WRITES]);
        CHECK(!guest_goes_on(&guests[READS]));
        send_byte(fds[1]);
        CHECK_EQ(trt_poller_collect(&p), 1); /* which has armed it anew */
        check_served(&p, &guests[READS]);
        CHECK(take_byte(fds[0]));
    }
    fill(fds[0]);
    come(&p, &guests[WRITES], fds[0], WRITES);
    come(&p, &guests[READS], fds[0], READS);
    send_byte(fds[1]);
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[READS]);
    give_up(&p, &guests[WRITES], fds[0], WRITES);
    close_scene(&p, guests, 2, fds);
}

static void
test_all_that_wait_for_one_go_on(void)
{
    enum { COUNT = 5 };
    trt_poller p;
    struct guest guests[COUNT];
    int fds[2];
    open_scene(&p, guests, COUNT, fds);
    for (size_t i = 0; i < COUNT; i++) {
        come(&p, &guests[i], fds[0], READS);
    }
    send_byte(fds[1]);
    CHECK_EQ(trt_poller_collect(&p), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        check_served(&p, &guests[i]);
    }
    close_scene(&p, guests, COUNT, fds);
}

static void
test_the_other_end_is_closed(void)
{
    trt_poller p;
    struct guest guests[2];
    int fds[2];
    open_scene(&p, guests, 2, fds);
    fill(fds[0]);
    come(&p, &guests[READS], fds[0], READS);
    come(&p, &guests[WRITES], fds[0], WRITES);
    CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
    CHECK_EQ(trt_poller_collect(&p), 1); /* there is an end to be read */
    check_served(&p, &guests[READS]);
    close(fds[1]);
    CHECK_EQ(trt_poller_collect(&p), 1); /* and an error to be met */
    check_served(&p, &guests[WRITES]);
    close(fds[0]);
    CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
    fill(fds[1]);
    come(&p, &guests[WRITES], fds[1], WRITES);
    close(fds[0]);
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[WRITES]);
    close(fds[1]);
    close_scene(&p, guests, 2, NULL);
}

static void
test_who_has_left_is_not_served(void)
{
    trt_poller p;
    struct guest guests[2];
    int fds[2];
    open_scene(&p, guests, 2, fds);
    come(&p, &guests[0], fds[0], READS);
    come(&p, &guests[1], fds[0], READS);
    give_up(&p, &guests[0], fds[0], READS);
    send_byte(fds[1]);
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[1]);
    come(&p, &guests[0], fds[0], READS);
    give_up(&p, &guests[0], fds[0], READS);
    CHECK_EQ(trt_poller_collect(&p), 0); /* told about what nobody waits for */
    come(&p, &guests[0], fds[0], READS); /* and armed again */
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[0]);
    come(&p, &guests[0], fds[0], READS);
    guest_abandon(&guests[0]); /* decided, and on its way to leave */
    CHECK_EQ(trt_poller_collect(&p), 0);
    trt_poller_leave(&p, fds[0], false, &guests[0].node);
    trt_poller_exit(&p);
    close_scene(&p, guests, 2, fds);
}

static void
test_forget_serves_all_of_one_descriptor(void)
{
    trt_poller p;
    struct guest guests[4];
    int fds[2];
    open_scene(&p, guests, 4, fds);
    fill(fds[0]);
    come(&p, &guests[0], fds[0], READS);
    come(&p, &guests[1], fds[0], READS);
    come(&p, &guests[2], fds[0], WRITES);
    come(&p, &guests[3], fds[1], WRITES);
    fill(fds[1]);
    trt_poller_forget(&p, fds[0]);
    for (int i = 0; i < 3; i++) {
        check_served(&p, &guests[i]);
    }
    give_up(&p, &guests[3], fds[1], WRITES);
    trt_poller_forget(&p, fds[0]); /* nobody is left */
    close_scene(&p, guests, 4, fds);
}

/* A number gets another file: the one before is gone, or lives on under another. */
static void
test_number_is_used_again(void)
{
    trt_poller p;
    struct guest guest;
    int fds[2], others[2];
    open_scene(&p, &guest, 1, fds);
    come(&p, &guest, fds[0], READS);
    send_byte(fds[1]);
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guest);
    for (int survives = 0; survives < 2; survives++) {
        const int kept = survives ? dup(fds[0]) : -1;
        make_pair(others);
        trt_poller_forget(&p, fds[0]);
        CHECK_EQ(dup2(others[0], fds[0]), fds[0]);
        close(others[0]);
        come(&p, &guest, fds[0], READS);
        CHECK_EQ(trt_poller_collect(&p), 0); /* not the byte of the old one */
        send_byte(others[1]);
        CHECK_EQ(trt_poller_collect(&p), 1);
        check_served(&p, &guest);
        CHECK(take_byte(fds[0]));
        close(fds[1]);
        fds[1] = others[1];
        if (survives) {
            close(kept);
        }
    }
    close_scene(&p, &guest, 1, fds);
}

static void
test_what_cannot_be_polled_is_refused(void)
{
    trt_poller p;
    struct guest guest;
    open_scene(&p, &guest, 1, NULL);
    FILE *const file = tmpfile();
    const int directory = open("/", O_RDONLY | O_DIRECTORY);
    const int closed = fcntl(directory, F_DUPFD, 200); /* that nobody takes meanwhile */
    CHECK(file && directory >= 0 && closed >= 0);
    close(closed);
    const struct {
        int fd, error;
    } wrong[] = {
        {fileno(file), -EPERM}, {directory, -EPERM}, {closed, -EBADF}, {-1, -EBADF}};
    guest_begin(&guest);
    CHECK_EQ(trt_poller_enter(&p), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        for (int writes = 0; writes < 2; writes++) {
            CHECK_EQ(trt_poller_queue(&p, wrong[i].fd, writes, &guest.node),
                     wrong[i].error);
            CHECK(!guest.node.queued);
        }
    }
    trt_poller_exit(&p);
    sleeper_end(&guest.sleeper);
    CHECK_EQ(trt_poller_collect(&p), 0);
    fclose(file);
    close(directory);
    close_scene(&p, &guest, 1, NULL);
}

static void
test_many_descriptors(void)
{
    enum {
        COUNT = 400
    }; /* more than it is told of at once, or has room for at first */
    trt_poller p;
    static struct guest guests[COUNT];
    int fds[COUNT];
    open_scene(&p, guests, COUNT, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        fds[i] = eventfd(0, EFD_NONBLOCK);
        CHECK(fds[i] >= 0);
        come(&p, &guests[i], fds[i], READS);
    }
    const uint64_t one = 1;
    for (size_t part = 0; part < 2; part++) {
        for (size_t i = part; i < COUNT; i += 2) {
            CHECK_EQ(write(fds[i], &one, sizeof one), (ssize_t)sizeof one);
        }
        CHECK_EQ(trt_poller_collect(&p), COUNT / 2);
        for (size_t i = part; i < COUNT; i += 2) {
            check_served(&p, &guests[i]);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
    close_scene(&p, guests, COUNT, NULL);
}

static void
test_begins_anew_after_a_fork(void)
{
    trt_poller p;
    struct guest guests[2];
    int fds[2];
    open_scene(&p, guests, 2, fds);
    come(&p, &guests[0], fds[0], READS);
    CHECK(trt_poller_try_hold(&p));
    trt_polled *const parents = p.polled; /* a child leaves it where it is */
    trt_poller_reinit_after_fork(&p);
    free(parents);
    CHECK(!trt_poller_try_hold(&p));
    come(&p, &guests[1], fds[0], READS);
    send_byte(fds[1]);
    CHECK_EQ(trt_poller_collect(&p), 1);
    check_served(&p, &guests[1]);
    guest_abandon(&guests[0]); /* what waited in the parent */
    guests[0].node.queued = false;
    close_scene(&p, guests, 2, fds);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_one_holds_it_at_a_time_while_somebody_waits);
    RUN(test_what_is_ready_already_is_told_at_the_next_look);
    RUN(test_each_way_of_one_descriptor_is_served_by_itself);
    RUN(test_all_that_wait_for_one_go_on);
    RUN(test_the_other_end_is_closed);
    RUN(test_who_has_left_is_not_served);
    RUN(test_forget_serves_all_of_one_descriptor);
    RUN(test_number_is_used_again);
    RUN(test_what_cannot_be_polled_is_refused);
    RUN(test_many_descriptors);
    RUN(test_begins_anew_after_a_fork);
    return check_end();
}
