/* A task of OpenMP a level. */
#include "fib.h"

static int64_t
fib(int64_t n)
{
    if (n < 2) {
        return n;
    }
    int64_t b;
#pragma omp task shared(b)
    b = fib(n - 2);
    const int64_t a = fib(n - 1);
#pragma omp taskwait
    return a + b;
}

void
run(fib_data *data, int workers)
{
#pragma omp parallel num_threads(workers)
#pragma omp single
    data->result = fib(data->n);
}
