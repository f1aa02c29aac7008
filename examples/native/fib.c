/* Fibonacci numbers the slow way, with a child at levels above a cutoff; see fib.py. */
#include <stdint.h>

#include <taskrt_native.h>

typedef struct fib_data {
    int64_t n, cutoff, result;
} fib_data;

int64_t
fib_serial(int64_t n)
{
    return n < 2 ? n : fib_serial(n - 1) + fib_serial(n - 2);
}

// [fib]
int
fib(trt_context *ctx, void *arg)
{
    fib_data *const data = arg;
    if (data->n <= data->cutoff) {
        data->result = fib_serial(data->n);
        return TRT_OK;
    }
    fib_data a = {data->n - 1, data->cutoff, 0}, b = {data->n - 2, data->cutoff, 0};
    trt_frame child;
    trt_spawn(ctx, &child, fib, &b);       // others may take it from here on
    const int mine = fib(ctx, &a);         // meanwhile: a plain call
    const int its = trt_join(ctx, &child); // nobody took it: a plain call too
    data->result = a.result + b.result;
    return mine ? mine : its;
}
// [/fib]
