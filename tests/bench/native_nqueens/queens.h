/* Boards on which n queens do not attack each other: what all contenders are asked. */
#ifndef QUEENS_H
#define QUEENS_H

#include <stdint.h>

enum { QUEENS_MAX = 16 };

typedef struct queens_data {
    int64_t n, rows; /* of the board; the first of them spawn, the others are serial */
    int64_t boards;
} queens_data;

/* Rows that have their queens: columns and diagonals that these attack. */
typedef struct board {
    uint32_t all, columns, left, right;
} board;

static inline board
board_empty(int64_t n)
{
    const board empty = {(1U << n) - 1, 0, 0, 0};
    return empty;
}

/* Squares of the next row that nobody attacks. */
static inline uint32_t
board_free(board b)
{
    return ~(b.columns | b.left | b.right) & b.all;
}

static inline board
board_with(board b, uint32_t queen)
{
    const board next = {b.all, b.columns | queen, (b.left | queen) << 1,
                        (b.right | queen) >> 1};
    return next;
}

static inline int64_t
count(board b)
{
    if (b.columns == b.all) {
        return 1;
    }
    int64_t boards = 0;
    for (uint32_t free = board_free(b); free; free &= free - 1) {
        boards += count(board_with(b, free & -free));
    }
    return boards;
}

#endif
