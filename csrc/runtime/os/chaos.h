/* Delays that widen the orders in which threads meet; for tests.
 *
 * Built with TRT_CHAOS (the option `chaos`), every atomic operation that is not a
 * relaxed load or store, and every step of a mutex, is now and then held up before and
 * after: mostly for some loops, at times until another thread has run, seldom for a
 * sleep. So a thread stands still just where it has decided something and not yet told.
 * Otherwise nothing of this is in the code.
 */
#ifndef TRT_CHAOS_H
#define TRT_CHAOS_H

#include <stdint.h>

#ifdef TRT_CHAOS

/* Hold the calling thread up, or not. */
void trt_chaos(void);

/* How often this thread has been held up. */
uint64_t trt_chaos_delays(void);

/* An expression with a value, and one without, between two delays. */
#define TRT_CHAOTIC(expression)                                                        \
    __extension__({                                                                    \
        trt_chaos();                                                                   \
        const __typeof__(expression) trt_chaotic_ = (expression);                      \
        trt_chaos();                                                                   \
        trt_chaotic_;                                                                  \
    })
#define TRT_CHAOTIC_STORE(expression) (trt_chaos(), (expression), trt_chaos())

#else

#define trt_chaos() ((void)0)
#define TRT_CHAOTIC(expression) expression
#define TRT_CHAOTIC_STORE(expression) expression

#endif

#endif
