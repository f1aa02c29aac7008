/* Fibonacci numbers: what all contenders are asked. */
#ifndef FIB_H
#define FIB_H

#include <stdint.h>

typedef struct fib_data {
    int64_t n, result;
} fib_data;

#endif
