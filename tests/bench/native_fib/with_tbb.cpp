/* A task group of oneTBB a level. */
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "fib.h"

static int64_t
fib(int64_t n)
{
    if (n < 2) {
        return n;
    }
    int64_t b;
    tbb::task_group group;
    group.run([&b, n] { b = fib(n - 2); });
    const int64_t a = fib(n - 1);
    group.wait();
    return a + b;
}

extern "C" void
run(fib_data *data, int workers)
{
    tbb::task_arena arena(workers);
    arena.execute([data] { data->result = fib(data->n); });
}
