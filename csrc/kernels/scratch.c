/* Memory from malloc. What is large, is asked for in large pages, where the system has
 * to be asked: 160 MB in small ones took 60 to 100 ms of system time to be handed over,
 * in large ones 4 to 20. The only kernel file that knows platforms. */
#include "kernels/scratch.h"

#include <stdint.h>
#include <stdlib.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

enum {
    LARGE_PAGE = 1 << 21,   /* bytes, on most machines */
    LARGE = 2 * LARGE_PAGE, /* bytes; less has no such page in it, perhaps */
};

void *
trt_scratch_new(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    char *const memory = malloc(count * size);
#ifdef MADV_HUGEPAGE
    if (memory && count * size >= LARGE) {
        char *const begin = memory + -(uintptr_t)memory % LARGE_PAGE;
        const size_t inside = count * size - (size_t)(begin - memory);
        /* A wish: if it fails, the pages are small. */
        (void)madvise(begin, inside - inside % LARGE_PAGE, MADV_HUGEPAGE);
    }
#endif
    return memory;
}
