/* A thread that runs strands, for tests of native code.
 *
 *     struct home home;
 *     home_init(&home);
 *     CHECK_EQ(home_run(&home, fn, arg), TRT_OK);     // it does not wait
 *     home_destroy(&home);
 */
#ifndef TRT_TEST_HOME_H
#define TRT_TEST_HOME_H

#include "check.h"

#include "native/strand.h"
#include "native/work.h"

/* A thread's strands, as a worker has them. */
struct home {
    trt_strands strands; /* first */
    _Atomic(trt_frames *) shown;
    _Atomic(uint32_t) sleepers;
    trt_work work;
    unsigned wakes;
};

static inline void
home_count_wake(trt_strands *strands)
{
    ((struct home *)strands)->wakes++;
}

static inline void
home_init(struct home *home)
{
    *home = (struct home){.wakes = 0};
    trt_work_init(&home->work);
    trt_strands_init(&home->strands, &home->shown, &home->sleepers, home_count_wake);
}

static inline void
home_destroy(struct home *home)
{
    CHECK(trt_load_relaxed(&home->shown) == NULL);
    trt_strands_destroy(&home->strands);
    trt_work_destroy(&home->work);
}

/* A strand that is about to run the job. */
static inline trt_strand *
home_begin(struct home *home, trt_frame *job, trt_function fn, void *arg)
{
    trt_strand *s = trt_strand_take(&home->strands);
    CHECK(s != NULL);
    *job = (trt_frame){.fn = fn, .arg = arg};
    trt_strand_begin(s, job, &home->work.cancel);
    return s;
}

/* Go on to the end. The status. */
static inline int
home_finish(struct home *home, trt_strand *s)
{
    CHECK_EQ(trt_strand_go(s), TRT_STRAND_ENDED);
    const int status = s->status;
    trt_strand_give_back(&home->strands, s);
    return status;
}

static inline int
home_run(struct home *home, trt_function fn, void *arg)
{
    trt_frame job;
    return home_finish(home, home_begin(home, &job, fn, arg));
}

/* Run it with a home of its own. */
static inline int
home_run_alone(trt_function fn, void *arg)
{
    struct home home;
    home_init(&home);
    const int status = home_run(&home, fn, arg);
    home_destroy(&home);
    return status;
}

static inline int
return_number(trt_context *ctx, void *number)
{
    (void)ctx;
    return *(int *)number;
}

#endif
