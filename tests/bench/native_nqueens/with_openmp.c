/* A task of OpenMP for each square. */
#include "queens.h"

static int64_t
place(board b, int64_t rows)
{
    if (rows == 0 || b.columns == b.all) {
        return count(b);
    }
    int64_t found[QUEENS_MAX];
    int children = 0;
    for (uint32_t free = board_free(b); free; free &= free - 1) {
        const board next = board_with(b, free & -free);
        int64_t *const its = &found[children++];
#pragma omp task
        *its = place(next, rows - 1);
    }
#pragma omp taskwait
    int64_t boards = 0;
    while (children-- > 0) {
        boards += found[children];
    }
    return boards;
}

void
run(queens_data *data, int workers)
{
#pragma omp parallel num_threads(workers)
#pragma omp single
    data->boards = place(board_empty(data->n), data->rows);
}
