/* Checks for bugs in taskrt itself, and the end of the process when one is found.
 *
 * Expected failures are enums and environment failures are negative errno; neither is
 * reported here. Use TRT_ASSERT for what must hold and is cheap to look at, trt_panic
 * where going on would corrupt memory or lose a wake-up.
 *
 *     TRT_ASSERT(timer->index == TRT_TIMER_IDLE);
 */
#ifndef TRT_CHECK_H
#define TRT_CHECK_H

#if defined(__GNUC__) || defined(__clang__)
#define TRT_COLD __attribute__((cold, noinline))
#else
#define TRT_COLD
#endif

/* Write "taskrt: MESSAGE" to standard error and abort the process. Any thread,
 * async-signal-safe, never returns. */
_Noreturn void trt_panic(const char *message) TRT_COLD;

#define TRT_STRINGIZE_(x) #x
#define TRT_STRINGIZE(x) TRT_STRINGIZE_(x)

/* Panic unless `cond` holds. Release builds (NDEBUG) do not evaluate `cond`, so it must
 * have no side effect; it is still compiled, so that its names count as used. */
#ifdef NDEBUG
#define TRT_ASSERT(cond) ((void)sizeof(!(cond)))
#else
#define TRT_ASSERT(cond)                                                               \
    ((cond) ? (void)0                                                                  \
            : trt_panic(__FILE__                                                       \
                        ":" TRT_STRINGIZE(__LINE__) ": assertion failed: " #cond))
#endif

#endif
