/* Quicksort: the smaller numbers are a child, the larger ones are sorted meanwhile. */
#include <stddef.h>
#include <taskrt_native.h>

typedef struct {
    double *numbers;
    ptrdiff_t size;
} part;

/* Move what is not above the middle number to the front; return how many those are. */
static ptrdiff_t
split(double *a, ptrdiff_t size)
{
    const double pivot = a[(size - 1) / 2];
    ptrdiff_t i = -1, j = size;
    for (;;) {
        do i++; while (a[i] < pivot);
        do j--; while (a[j] > pivot);
        if (i >= j) {
            return j + 1;
        }
        const double moved = a[i];
        a[i] = a[j];
        a[j] = moved;
    }
}

int
sort(trt_context *ctx, void *arg)
{
    const part *const whole = arg;
    if (whole->size < 2) {
        return TRT_OK;
    }
    const ptrdiff_t mid = split(whole->numbers, whole->size);
    part small = {whole->numbers, mid};
    part large = {whole->numbers + mid, whole->size - mid};
    trt_frame child;
    trt_spawn(ctx, &child, sort, &small);
    const int mine = sort(ctx, &large);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}
