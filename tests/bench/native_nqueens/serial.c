/* Plain recursion. */
#include "queens.h"

void
run(queens_data *data, int workers)
{
    (void)workers;
    data->boards = count(board_empty(data->n));
}
