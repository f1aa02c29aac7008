/* Primitives: what their types share. */
#ifndef TRT_BINDING_SYNC_H
#define TRT_BINDING_SYNC_H

#include "core.h"

#include <stdlib.h>

#include "sync/channel.h"
#include "sync/event.h"
#include "sync/semaphore.h"

/* A deadline that allows no wait at all. */
#define SYNC_NOW ((uint64_t)0)

/* Who runs here: a number that no other task or thread has at the same time, not 0. */
uint64_t sync_owner(Worker *w);
/* Its name, "Task-5" or "thread 7"; for 0 "nobody". New reference. */
PyObject *sync_owner_name(uint64_t owner);

/* The arguments blocking=True, timeout=`no_timeout` as a deadline: TRT_FOREVER,
 * SYNC_NOW, or another. `no_timeout` is −1, as threading.Lock has it, or None, as its
 * semaphores have. 0 or −1. */
int sync_acquire_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                           PyObject *no_timeout, uint64_t *deadline_ns);

#endif
