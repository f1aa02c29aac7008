/* Asking the system to tell, once, when a descriptor can be read or written.
 *
 * The set of what was asked for is itself a descriptor, which is readable while there
 * is something to collect, so that whoever sleeps on it may sleep on other things too.
 * Linux only; elsewhere trt_poll_open fails with -ENOSYS. The set has no lock of its
 * own: the system's calls may be made by any thread.
 */
#ifndef TRT_POLL_H
#define TRT_POLL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TRT_POLL_READABLE = 1,
    TRT_POLL_WRITABLE = 2,
};

typedef struct trt_poll_event {
    int fd;
    uint32_t ready; /* of the above; both when it has failed or was hung up */
} trt_poll_event;

/* A set of which exec'd programs know nothing: its descriptor, or negative errno. */
int trt_poll_open(void);
void trt_poll_close(int set);

/* Tell once about what is in `what`, in place of what was asked for `fd` before. 0, or
 * negative errno: -EBADF, -EPERM for what is always ready (files), -ENOMEM, -ENOSPC. */
int trt_poll_arm(int set, int fd, uint32_t what);

/* 0 if `fd` is an open descriptor, or -EBADF. */
int trt_poll_check(int fd);

/* Whether `fd` is ready at the moment for what is in `what`. Does not wait. */
bool trt_poll_look(int fd, uint32_t what);

/* Tell no more about `fd`, which is open still, or was not asked for. */
void trt_poll_disarm(int set, int fd);

/* What has become ready, at most `room`: how many. Does not wait. */
int trt_poll_collect(int set, trt_poll_event *events, int room);

#endif
