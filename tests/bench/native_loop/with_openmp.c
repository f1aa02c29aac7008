/* A parallel loop of OpenMP, cut into one part a thread. */
#include "loop.h"

void
run(loop_data *data, int workers)
{
    for (int64_t round = 0; round < data->rounds; round++) {
#pragma omp parallel for schedule(static) num_threads(workers)
        for (int64_t i = 0; i < data->n; i++) {
            data->x[i] += (double)i;
        }
    }
}
