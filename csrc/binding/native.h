/* Native work that Python begins: its record, and running it. */
#ifndef TRT_BINDING_NATIVE_H
#define TRT_BINDING_NATIVE_H

#include "core.h"

/* One piece of work. On the heap: other threads look at it while the stack of its host
 * is put away. */
typedef struct Work {
    trt_work base;
    trt_frame first;    /* the task that the work began with; nobody joins it */
    PyObject *context;  /* what functions that are called run in copies of, or NULL */
    bool foreign;       /* begun by a foreign thread, or by a task of one */
    TaskObject *task;   /* that it was begun in, borrowed, or NULL */
    ScopeObject *scope; /* the same */
    trt_work *outer;    /* the work that runs beneath on the same fiber */
    struct Work *previous, *next; /* all work; under core->waits */
    Fiber *hosts; /* those that call Python for it, but the first; the same */
    /* Arguments of loops. */
    int64_t begin, end, grain;
    void *fn, *arg;
    trt_reduction how; /* of a reduction; its arg is the work */
    void (*combine)(void *, const void *, void *);
    void *result;
    void *neutral; /* owned: what *result was at first */
} Work;

/* Work that begins with fn(context, arg). NULL with an error set. */
Work *native_new(trt_function fn, void *arg);
/* Give up work that has not been run. */
void native_free(Work *work);
/* Run it to its end, on a strand of this thread, and free it. None, or NULL with an
 * error set. A suspension point and a checkpoint. */
PyObject *native_run(Work *work);
/* Turn what came of the work, which has ended with `status`, into a result: None, or
 * NULL with an error set. */
PyObject *native_outcome(Worker *w, const Work *work, int status);

#endif
