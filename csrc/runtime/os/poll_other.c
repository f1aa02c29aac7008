/* Readiness where it is not built: nobody gets a set. */
#include "os/poll.h"

#ifndef __linux__

#include <errno.h>

int
trt_poll_open(void)
{
    return -ENOSYS;
}

void
trt_poll_close(int set)
{
    (void)set;
}

int
trt_poll_arm(int set, int fd, uint32_t what)
{
    (void)set;
    (void)fd;
    (void)what;
    return -ENOSYS;
}

int
trt_poll_check(int fd)
{
    (void)fd;
    return -ENOSYS;
}

bool
trt_poll_look(int fd, uint32_t what)
{
    (void)fd;
    (void)what;
    return false;
}

void
trt_poll_disarm(int set, int fd)
{
    (void)set;
    (void)fd;
}

int
trt_poll_collect(int set, trt_poll_event *events, int room)
{
    (void)set;
    (void)events;
    (void)room;
    return 0;
}

#endif
