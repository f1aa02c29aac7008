/* The one clock of the runtime: nanoseconds of monotonic time.
 *
 * Deadlines are absolute values of this clock. A deadline that has passed, 0 for
 * example, makes a wait poll; TRT_FOREVER means no deadline.
 */
#ifndef TRT_CLOCK_H
#define TRT_CLOCK_H

#include <stdint.h>

#define TRT_FOREVER UINT64_MAX

/* Nanoseconds since a fixed point in the past; never goes backwards. Any thread,
 * async-signal-safe. */
uint64_t trt_clock_now_ns(void);

#endif
