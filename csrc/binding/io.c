/* wait_readable(), wait_writable(): a task waits for a descriptor, its thread does not.
 */
#include "sync.h"

#include <errno.h>

#include "os/poll.h"
#include "sync/poller.h"

typedef struct Readiness {
    Awaited base;
    int fd;
    bool writes;
    int error; /* negative errno of what could not be waited for */
} Readiness;

static bool
readiness_enter(Awaited *base, Wait *wait)
{
    Readiness *const self = (Readiness *)base;
    trt_team *const team = wait->fiber->worker->base.team; /* of those who look */
    trt_wait_node_init(&wait->nodes[0], &wait->base, NULL);
    self->error =
        trt_poller_queue(&team->poller, self->fd, self->writes, &wait->nodes[0]);
    if (self->error) {
        return false;
    }
    trt_worker_need_poller(team);
    return true;
}

static void
readiness_leave(Awaited *base, Wait *wait)
{
    const Readiness *const self = (const Readiness *)base;
    trt_poller *const poller = &wait->fiber->worker->base.team->poller;
    trt_poller_leave(poller, self->fd, self->writes, &wait->nodes[0]);
    free(wait);
}

static void
raise_unwaitable(int number)
{
    errno = number;
    if (number != EPERM) {
        PyErr_SetFromErrno(PyExc_OSError);
        return;
    }
    PyObject *const error = PyObject_CallFunction(
        PyExc_OSError, "is", number,
        "it cannot be waited for, as a file on disk is always ready: read or write it, "
        "with run_blocking() if that takes long");
    if (error) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
}

/* 1: ready; 0: deadline passed; −1: error set. */
static int
wait_for_descriptor(Worker *w, PyObject *file, int fd, bool writes, uint64_t deadline)
{
    Readiness wanted = {.base = {.enter = readiness_enter,
                                 .leave = readiness_leave,
                                 .object = file,
                                 .nodes = 1},
                        .fd = fd,
                        .writes = writes};
    trt_poller *const poller = &w->base.team->poller;
    int status = trt_poller_enter(poller);
    if (status < 0) {
        errno = -status;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    do {
        status = wait_once(w, &wanted.base, deadline);
    } while (status == 2);
    trt_poller_exit(poller);
    if (status >= 0 && wanted.error) {
        raise_unwaitable(-wanted.error);
        return -1;
    }
    if (status == 0) {
        /* Whoever has the poller may not have come to look in so short a time. */
        return trt_poll_look(fd, writes ? TRT_POLL_WRITABLE : TRT_POLL_READABLE);
    }
    return status;
}

static PyObject *
wait_for_file(const char *who, bool writes, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    uint64_t deadline;
    if (nargs < 1) {
        return PyErr_Format(PyExc_TypeError,
                            "%s() takes a descriptor, or an object with fileno()", who);
    }
    const int fd = PyObject_AsFileDescriptor(args[0]);
    if (fd < 0 ||
        wait_timeout_argument(who, 1, args + 1, nargs - 1, kwnames, &deadline)) {
        return NULL;
    }
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    const int status = wait_for_descriptor(w, args[0], fd, writes, deadline);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

PyObject *
core_wait_readable(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    return wait_for_file("wait_readable", false, args, nargs, kwnames);
}

PyObject *
core_wait_writable(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    return wait_for_file("wait_writable", true, args, nargs, kwnames);
}

PyObject *
core_notify_closing(PyObject *Py_UNUSED(module), PyObject *file)
{
    const int fd = PyObject_AsFileDescriptor(file);
    if (fd < 0) {
        return NULL;
    }
    for (int team = 0; core->pool && team < TRT_TEAMS; team++) {
        trt_poller_forget(&core->pool->teams[team].poller, fd);
    }
    Py_RETURN_NONE;
}
