/* How a thread sleeps on Windows: WaitOnAddress. */
#include "os/parker_os.h"

#ifdef TRT_PARKER_ON_WINDOWS

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602 /* Windows 8: WaitOnAddress */
#endif

#include "os/check.h"
#include "os/clock.h"

#include <windows.h>

void
trt_parker_os_init(trt_parker *p)
{
    (void)p;
}

void
trt_parker_os_destroy(trt_parker *p)
{
    (void)p;
}

void
trt_parker_os_close(trt_parker *p)
{
    (void)p;
}

/* Milliseconds until the deadline, rounded up so that a sleep is not too short. */
static DWORD
ms_until(uint64_t deadline_ns)
{
    const uint64_t now = trt_clock_now_ns();
    if (deadline_ns == TRT_FOREVER) {
        return INFINITE;
    }
    if (deadline_ns <= now) {
        return 0;
    }
    const uint64_t ms = (deadline_ns - now + 999999) / 1000000;
    return ms < INFINITE ? (DWORD)ms : INFINITE - 1;
}

enum trt_parker_end
trt_parker_os_sleep(trt_parker *p, uint64_t deadline_ns)
{
    uint32_t asleep = TRT_PARKER_ASLEEP;
    if (WaitOnAddress((void *)&p->word, &asleep, sizeof asleep,
                      ms_until(deadline_ns))) {
        return TRT_PARKER_WOKEN;
    }
    if (GetLastError() == ERROR_TIMEOUT) {
        return TRT_PARKER_TIMED_OUT;
    }
    trt_panic("WaitOnAddress failed");
}

void
trt_parker_os_wake(trt_parker *p)
{
    WakeByAddressSingle((void *)&p->word);
}

int
trt_parker_os_open(trt_parker *p)
{
    (void)p; /* trt_parker_park_signals does without */
    return 0;
}

enum trt_parker_end
trt_parker_os_poll(trt_parker *p, uint64_t deadline_ns)
{
    return trt_parker_os_sleep(p, deadline_ns);
}

void
trt_parker_os_ring(trt_parker *p)
{
    trt_parker_os_wake(p);
}

bool
trt_parker_os_read(trt_parker *p)
{
    (void)p;
    return false;
}

#endif
