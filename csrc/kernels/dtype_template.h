/* Includes TEMPLATE once for each dtype, with
 *
 *   TYPE      the type in C
 *   NAME(n)   `n` with the dtype's name behind it
 *   IS_FLOAT  1 for floating-point numbers, otherwise 0
 *
 * No guard: it is included by each file that has a template. */
#define TYPE int8_t
#define NAME(noun) noun##_int8
#define IS_FLOAT 0
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE int16_t
#define NAME(noun) noun##_int16
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE int32_t
#define NAME(noun) noun##_int32
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE int64_t
#define NAME(noun) noun##_int64
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE uint8_t
#define NAME(noun) noun##_uint8
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE uint16_t
#define NAME(noun) noun##_uint16
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE uint32_t
#define NAME(noun) noun##_uint32
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE uint64_t
#define NAME(noun) noun##_uint64
#include TEMPLATE
#undef TYPE
#undef NAME
#undef IS_FLOAT

#define TYPE float
#define NAME(noun) noun##_float32
#define IS_FLOAT 1
#include TEMPLATE
#undef TYPE
#undef NAME

#define TYPE double
#define NAME(noun) noun##_float64
#include TEMPLATE
#undef TYPE
#undef NAME
#undef IS_FLOAT
#undef TEMPLATE
