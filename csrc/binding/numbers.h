/* Arguments of kernels: arrays of numbers, as Python's buffers show them.
 *
 *     Numbers array = {0};
 *     if (numbers_hold(&array, "array", op, NUMBERS_WRITABLE) == 0) {
 *         ... array.items ...
 *     }
 *     numbers_release(&array);
 */
#ifndef TRT_BINDING_NUMBERS_H
#define TRT_BINDING_NUMBERS_H

#include "core.h"

#include "kernels/dtype.h"

/* What an argument has to be besides numeric and aligned. */
enum {
    NUMBERS_CONTIGUOUS = 1,
    NUMBERS_WRITABLE = 2,
    /* It has one dimension, or with this one or more: rows along the last, without
     * gaps. */
    NUMBERS_ROWS = 4,
};

/* An argument. All zeros as long as it holds no buffer; the end is numbers_release. */
typedef struct Numbers {
    const char *name;
    Py_buffer view;
    trt_items items;
    size_t row; /* items along the last dimension */
} Numbers;

/* Hold the buffer of an argument; `name` is for messages. 0, or −1 with an error set.
 * Either way it is to be released. */
int numbers_hold(Numbers *n, const char *name, PyObject *op, int needs);
void numbers_release(Numbers *n);

const char *numbers_dtype_name(trt_dtype dtype);

/* 0, or −1 with an error set: the two hold different types, overlap in memory. */
int numbers_check_same_dtype(const Numbers *n, const Numbers *as);
int numbers_check_apart(const Numbers *n, const Numbers *from);

size_t numbers_bytes(const trt_items *items);
bool numbers_have_gaps(const trt_items *items);

/* Run on this thread, detached if it takes long. A checkpoint, as native work is. 0 or
 * −1 with an error set. */
int numbers_run_here(void (*work)(void *), void *record, size_t bytes);

/* Run as native work; `record`, of `size` bytes, is the argument and the outcome. 0 or
 * −1 with an error set. */
int numbers_run_native(trt_function fn, void *record, size_t size);

#endif
