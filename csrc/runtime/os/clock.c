#define _GNU_SOURCE 1

#include "os/clock.h"

#define NS_PER_S UINT64_C(1000000000)

#ifdef _WIN32

#include <windows.h>

uint64_t
trt_clock_now_ns(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceFrequency(&per_second);
    QueryPerformanceCounter(&ticks);
    const uint64_t now = (uint64_t)ticks.QuadPart;
    const uint64_t rate = (uint64_t)per_second.QuadPart;
    /* In two parts, as ticks times 10^9 would overflow within minutes. */
    return now / rate * NS_PER_S + now % rate * NS_PER_S / rate;
}

#else

#include <time.h>

uint64_t
trt_clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with these arguments */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif
