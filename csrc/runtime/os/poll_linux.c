/* Readiness on Linux: epoll, one shot at a time. */
#define _GNU_SOURCE 1

#include "os/poll.h"

#ifdef __linux__

#include "os/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Of the system's events, as many as are copied at a time. */
enum { ROOM_MAX = 64 };

int
trt_poll_open(void)
{
    const int set = epoll_create1(EPOLL_CLOEXEC);
    return set < 0 ? -errno : set;
}

void
trt_poll_close(int set)
{
    close(set);
}

int
trt_poll_arm(int set, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLONESHOT, .data = {.fd = fd}};
    event.events |= what & TRT_POLL_READABLE ? EPOLLIN | EPOLLRDHUP : 0;
    event.events |= what & TRT_POLL_WRITABLE ? EPOLLOUT : 0;
    /* It may be the first time, or a new file under an old number. */
    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0 ||
        (errno == ENOENT && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0)) {
        return 0;
    }
    return -errno;
}

int
trt_poll_check(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -errno : 0;
}

bool
trt_poll_look(int fd, uint32_t what)
{
    struct pollfd asked = {.fd = fd};
    asked.events |= what & TRT_POLL_READABLE ? POLLIN | POLLRDHUP : 0;
    asked.events |= what & TRT_POLL_WRITABLE ? POLLOUT : 0;
    return poll(&asked, 1, 0) > 0;
}

void
trt_poll_disarm(int set, int fd)
{
    /* Fails where nothing was asked for. What was asked for stays as long as the file
     * is open anywhere, under another number or in another process too. */
    (void)epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
}

int
trt_poll_collect(int set, trt_poll_event *events, int room)
{
    struct epoll_event found[ROOM_MAX];
    TRT_ASSERT(room > 0);
    const int count = epoll_wait(set, found, room < ROOM_MAX ? room : ROOM_MAX, 0);
    for (int i = 0; i < count; i++) {
        const uint32_t is = found[i].events;
        const bool failed = (is & (EPOLLERR | EPOLLHUP)) != 0;
        events[i].fd = found[i].data.fd;
        events[i].ready =
            (failed || (is & (EPOLLIN | EPOLLRDHUP)) ? TRT_POLL_READABLE : 0) |
            (failed || (is & EPOLLOUT) ? TRT_POLL_WRITABLE : 0);
    }
    return count < 0 ? 0 : count;
}

#endif
