/* thread.h on Windows. */
#include "os/thread.h"

#ifdef _WIN32

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602 /* Windows 8: GetCurrentThreadStackLimits */
#endif

#include "os/chaos.h"
#include "os/check.h"

#include <windows.h>

#include <errno.h>
#include <limits.h>
#include <process.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 16

_Static_assert(sizeof(SRWLOCK) == sizeof(trt_mutex), "trt_mutex is not an SRWLOCK");

static SRWLOCK *
lock_of(trt_mutex *m)
{
    return (SRWLOCK *)&m->srw;
}

void
trt_mutex_init(trt_mutex *m)
{
    InitializeSRWLock(lock_of(m));
}

void
trt_mutex_destroy(trt_mutex *m)
{
    (void)m; /* an SRWLOCK holds nothing */
}

void
trt_mutex_lock(trt_mutex *m)
{
    trt_chaos();
    AcquireSRWLockExclusive(lock_of(m));
    trt_chaos();
}

bool
trt_mutex_try_lock(trt_mutex *m)
{
    trt_chaos();
    return TryAcquireSRWLockExclusive(lock_of(m)) != 0;
}

void
trt_mutex_unlock(trt_mutex *m)
{
    trt_chaos();
    ReleaseSRWLockExclusive(lock_of(m));
    trt_chaos();
}

void
trt_mutex_reinit_after_fork(trt_mutex *m)
{
    trt_mutex_init(m);
}

/* What the new thread needs to know; freed by it. */
struct start {
    void (*fn)(void *);
    void *arg;
    wchar_t name[NAME_BYTES];
};

static void
set_name_of_this_thread(const wchar_t *name)
{
    /* Looked up, as it exists from Windows 10 only. */
    typedef HRESULT(WINAPI * set_description)(HANDLE, PCWSTR);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    if (kernel == NULL) {
        return;
    }
    FARPROC found = GetProcAddress(kernel, "SetThreadDescription");
    if (found != NULL) {
        set_description set;
        memcpy(&set, &found, sizeof set);
        set(GetCurrentThread(), name);
    }
}

static unsigned __stdcall
run_thread(void *data)
{
    struct start start = *(struct start *)data;
    free(data);
    set_name_of_this_thread(start.name);
    start.fn(start.arg);
    return 0;
}

int
trt_thread_start(trt_thread *t, const char *name, size_t stack_bytes,
                 void (*fn)(void *), void *arg)
{
    if (stack_bytes > UINT_MAX) {
        return -EINVAL;
    }
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        return -ENOMEM;
    }
    start->fn = fn;
    start->arg = arg;
    size_t length = 0;
    for (; length < NAME_BYTES - 1 && name[length] != '\0'; length++) {
        start->name[length] = (unsigned char)name[length];
    }
    start->name[length] = L'\0';

    const uintptr_t handle =
        _beginthreadex(NULL, (unsigned)stack_bytes, run_thread, start,
                       STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (handle == 0) {
        const int error = errno;
        free(start);
        return -error;
    }
    t->handle = (void *)handle;
    return 0;
}

void
trt_thread_join(trt_thread *t)
{
    if (WaitForSingleObject(t->handle, INFINITE) != WAIT_OBJECT_0) {
        trt_panic("joined a thread that cannot be joined");
    }
    CloseHandle(t->handle);
}

void
trt_thread_detach(trt_thread *t)
{
    CloseHandle(t->handle);
}

void
trt_thread_yield(void)
{
    SwitchToThread();
}

bool
trt_thread_stack_bounds(char **low, char **high)
{
    ULONG_PTR start, end;
    GetCurrentThreadStackLimits(&start, &end);
    *low = (char *)start;
    *high = (char *)end;
    return true;
}

#endif
