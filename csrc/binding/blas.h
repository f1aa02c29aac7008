/* One pool for BLAS: see blas.c. */
#ifndef TASKRT_BLAS_H
#define TASKRT_BLAS_H

#include "core.h"

/* Give the libraries back what they had, while the runtime's threads end. Main. */
void blas_pause(void);
/* The same as the process ends: its calls use no thread but their own. Main. */
void blas_leave(void);
/* Steer them again, once threads have started. Under core->life. */
void blas_resume(void);

/* Whether numbers of threads follow the workers. Written under a lock of blas.c; a
 * hint.
 */
extern _Atomic(bool) blas_steers;
void blas_begin_task_slow(Worker *w);

/* A task begins on this worker: those that search and will find nothing count as ones
 * to be had. */
static inline void
blas_begin_task(Worker *w)
{
    if (trt_load_relaxed(&blas_steers)) {
        blas_begin_task_slow(w);
    }
}

PyObject *core_blas_steer(PyObject *, PyObject *);
PyObject *core_blas_release(PyObject *, PyObject *);
PyObject *core_blas_state(PyObject *, PyObject *);

/* openmp.c: give the calling pool thread the number of OpenMP threads that it is to
 * have now, if that has changed. */
void openmp_adjust_slow(Worker *w);
extern _Atomic(uint32_t) openmp_epoch;

static inline void
openmp_adjust(Worker *w)
{
    if (w->openmp_epoch != trt_load_relaxed(&openmp_epoch)) {
        openmp_adjust_slow(w);
    }
}

PyObject *core_openmp_limit(PyObject *, PyObject *);

#endif
