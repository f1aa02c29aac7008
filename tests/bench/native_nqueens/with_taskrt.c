/* A child for each square. */
#include <taskrt_native.h>

#include "queens.h"

typedef struct job {
    board board;
    int64_t rows; /* that spawn */
    int64_t boards;
} job;

static int
place(trt_context *ctx, void *arg)
{
    job *const j = arg;
    if (j->rows == 0 || j->board.columns == j->board.all) {
        j->boards = count(j->board);
        return TRT_OK;
    }
    job jobs[QUEENS_MAX];
    trt_frame frames[QUEENS_MAX];
    int children = 0, status = TRT_OK;
    for (uint32_t free = board_free(j->board); free; free &= free - 1) {
        job *const next = &jobs[children];
        *next = (job){board_with(j->board, free & -free), j->rows - 1, 0};
        trt_spawn(ctx, &frames[children++], place, next);
    }
    int64_t boards = 0;
    while (children-- > 0) {
        const int its = trt_join(ctx, &frames[children]);
        status = status ? status : its;
        boards += jobs[children].boards;
    }
    j->boards = boards;
    return status;
}

int
run(trt_context *ctx, void *arg)
{
    queens_data *const data = arg;
    job whole = {board_empty(data->n), data->rows, 0};
    const int status = place(ctx, &whole);
    data->boards = whole.boards;
    return status;
}
