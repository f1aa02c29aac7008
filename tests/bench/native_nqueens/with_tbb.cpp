/* A task of a oneTBB group for each square. */
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "queens.h"

static int64_t
place(board b, int64_t rows)
{
    if (rows == 0 || b.columns == b.all) {
        return count(b);
    }
    int64_t found[QUEENS_MAX];
    int children = 0;
    tbb::task_group group;
    for (uint32_t free = board_free(b); free; free &= free - 1) {
        const board next = board_with(b, free & -free);
        int64_t *const its = &found[children++];
        group.run([=] { *its = place(next, rows - 1); });
    }
    group.wait();
    int64_t boards = 0;
    while (children-- > 0) {
        boards += found[children];
    }
    return boards;
}

extern "C" void
run(queens_data *data, int workers)
{
    tbb::task_arena arena(workers);
    arena.execute([data] { data->boards = place(board_empty(data->n), data->rows); });
}
