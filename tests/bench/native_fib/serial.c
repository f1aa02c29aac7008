/* Plain recursion. */
#include "fib.h"

static int64_t
fib(int64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

void
run(fib_data *data, int workers)
{
    (void)workers;
    data->result = fib(data->n);
}
