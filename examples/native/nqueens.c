/* Ways to place n queens so that none attacks another, with a child for each square
 * that a queen can take; see nqueens.py. */
#include <stdint.h>

#include <taskrt_native.h>

enum { N_MAX = 16 };

typedef struct board {
    uint32_t all;                  /* columns */
    uint32_t columns, left, right; /* columns and diagonals that are attacked */
} board;

static uint32_t
free_squares(board b)
{
    return ~(b.columns | b.left | b.right) & b.all;
}

static board
with_queen(board b, uint32_t queen)
{
    return (board){b.all, b.columns | queen, (b.left | queen) << 1,
                   (b.right | queen) >> 1};
}

static int64_t
count(board b)
{
    int64_t boards = b.columns == b.all;
    for (uint32_t free = free_squares(b); free; free &= free - 1) {
        boards += count(with_queen(b, free & -free));
    }
    return boards;
}

// [queens]
typedef struct job {
    board board;
    int64_t rows; /* that spawn */
    int64_t boards;
} job;

static int
place(trt_context *ctx, void *arg)
{
    job *const j = arg;
    if (j->rows == 0) {
        j->boards = count(j->board);
        return TRT_OK;
    }
    job jobs[N_MAX];
    trt_frame frames[N_MAX];
    int children = 0, status = TRT_OK;
    for (uint32_t free = free_squares(j->board); free; free &= free - 1) {
        job *const next = &jobs[children];
        *next = (job){with_queen(j->board, free & -free), j->rows - 1, 0};
        trt_spawn(ctx, &frames[children++], place, next);
    }
    j->boards = 0;
    while (children-- > 0) { // the newest first
        const int its = trt_join(ctx, &frames[children]);
        status = status ? status : its;
        j->boards += jobs[children].boards;
    }
    return status;
}
// [/queens]

typedef struct queens_data {
    int64_t n, rows, boards;
} queens_data;

static board
empty(int64_t n)
{
    return (board){(UINT32_C(1) << n) - 1, 0, 0, 0};
}

int
queens(trt_context *ctx, void *arg)
{
    queens_data *const data = arg;
    if (data->n < 1 || data->n > N_MAX || data->rows < 0 || data->rows > data->n) {
        return trt_fail(ctx, 1, "the board has 1 to 16 rows, and no more can spawn");
    }
    job whole = {empty(data->n), data->rows, 0};
    const int status = place(ctx, &whole);
    data->boards = whole.boards;
    return status;
}

int64_t
queens_serial(int64_t n)
{
    return count(empty(n));
}
