/* parallel_for of oneTBB with its default, the auto_partitioner. */
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include "loop.h"

extern "C" void
run(loop_data *data, int workers)
{
    using range = tbb::blocked_range<int64_t>;
    tbb::task_arena arena(workers);
    arena.execute([data] {
        for (int64_t round = 0; round < data->rounds; round++) {
            tbb::parallel_for(
                range(0, data->n),
                [data](const range &r) { loop_part(data->x, r.begin(), r.end()); },
                tbb::auto_partitioner());
        }
    });
}
