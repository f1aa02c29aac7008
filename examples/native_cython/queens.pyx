# cython: language_level=3, freethreading_compatible=True
"""Count the ways to put n queens on a board, with a native task for each queen."""

from libc.stdint cimport int64_t, uint32_t

from taskrt import native

# [tasks]
cdef extern from "taskrt_native.h" nogil:
    enum:
        TRT_OK
    ctypedef struct trt_context:
        pass
    ctypedef struct trt_frame:
        pass
    ctypedef int (*trt_function)(trt_context *, void *) noexcept nogil
    void trt_spawn(trt_context *, trt_frame *, trt_function, void *)
    int trt_join(trt_context *, trt_frame *)


cdef struct Board:
    uint32_t free  # columns
    uint32_t left, right  # diagonals that are attacked in this row
    int64_t solutions


cdef int place(trt_context *context, void *arg) noexcept nogil:
    cdef Board *board = <Board *>arg
    cdef Board boards[32]
    cdef trt_frame frames[32]
    cdef uint32_t squares = board.free & ~(board.left | board.right), square
    cdef int status = TRT_OK, its, count = 0
    board.solutions = board.free == 0
    while squares:
        square = squares & -squares
        squares ^= square
        boards[count] = Board(
            board.free ^ square,
            (board.left | square) << 1,
            (board.right | square) >> 1,
            0,
        )
        trt_spawn(context, &frames[count], place, &boards[count])
        count += 1
    while count:  # the newest first
        count -= 1
        its = trt_join(context, &frames[count])
        status = status or its
        board.solutions += boards[count].solutions
    return status


cdef class Work:
    """The board: on the heap, for a Python function's stack moves while it waits."""

    cdef Board board


def queens(int n):
    """Return the number of solutions for n queens; raise ValueError above 31."""
    if not 0 <= n <= 31:
        raise ValueError(f"n must be 0 to 31, not {n}")
    cdef Work work = Work()
    work.board.free = (<uint32_t>1 << n) - 1
    native.run(<size_t>&place, <size_t>&work.board)
    return work.board.solutions


# [/tasks]


def address():
    """Return the address of the native function."""
    return <size_t>&place
