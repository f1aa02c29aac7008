/* Memory from malloc. What is large, is asked for in large pages, where the system has
 * to be asked, and one piece of it is kept for the next that needs as much: 160 MB in
 * small pages took 60 to 100 ms of system time to be handed over, in large ones 4 to
 * 40, and take none when they are there. What is kept is the system's whenever it is
 * short of memory. The only kernel file that knows platforms and other threads. */
#include "kernels/scratch.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "os/atomics.h"

#ifdef __linux__
#include <malloc.h>
#include <sys/mman.h>
#endif

enum {
    LARGE_PAGE = 1 << 21,   /* bytes, on most machines */
    LARGE = 2 * LARGE_PAGE, /* bytes; less has no such page in it, perhaps */
    KEPT_MAX = 1 << 28,     /* bytes; more is given back */
};

#if defined(MADV_HUGEPAGE) && defined(MADV_FREE)

/* A large piece that nobody uses, or NULL. Any thread takes it, or puts one there; its
 * last user's writes go before those of the next [scratch-kept]. */
static _Atomic(void *) kept;

/* Say something about the whole large pages in a piece of memory. A wish: if it fails,
 * nothing is different but speed. */
static bool
advise(char *memory, size_t bytes, int advice)
{
    char *const begin = memory + -(uintptr_t)memory % LARGE_PAGE;
    const size_t inside = bytes - (size_t)(begin - memory);
    return madvise(begin, inside - inside % LARGE_PAGE, advice) == 0;
}

/* What is kept, if it has as many bytes; otherwise that is freed. */
static void *
take_kept(size_t bytes)
{
    void *const memory = trt_exchange_acq_rel(&kept, NULL); /* [scratch-kept] */
    if (memory && malloc_usable_size(memory) < bytes) {
        free(memory);
        return NULL;
    }
    return memory;
}

void *
trt_scratch_new(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    const size_t bytes = count * size;
    if (bytes < LARGE) {
        return malloc(bytes);
    }
    void *memory = take_kept(bytes);
    if (!memory) {
        memory = malloc(bytes);
        if (memory) {
            advise(memory, bytes, MADV_HUGEPAGE);
        }
    }
    return memory;
}

void
trt_scratch_free(void *memory)
{
    const size_t bytes = memory ? malloc_usable_size(memory) : 0;
    if (LARGE <= bytes && bytes <= KEPT_MAX && advise(memory, bytes, MADV_FREE)) {
        memory = trt_exchange_acq_rel(&kept, memory); /* [scratch-kept] */
    }
    free(memory);
}

#else

void *
trt_scratch_new(size_t count, size_t size)
{
    return size > 0 && count > SIZE_MAX / size ? NULL : malloc(count * size);
}

void
trt_scratch_free(void *memory)
{
    free(memory);
}

#endif
