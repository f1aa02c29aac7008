/* Spread the grey levels of a picture: count them, then map them; see equalize.py. */
#include <stdint.h>

#include <taskrt_native.h>

enum { LEVELS = 256 };

// [loops]
/* How often each level occurs in a part. */
int
count(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    const uint8_t *const pixels = arg;
    int64_t *const counts = acc;
    (void)ctx;
    for (int64_t i = begin; i < end; i++) {
        counts[pixels[i]]++;
    }
    return TRT_OK;
}

void
add(void *acc, const void *after, void *arg)
{
    int64_t *const counts = acc;
    const int64_t *const more = after;
    (void)arg;
    for (int level = 0; level < LEVELS; level++) {
        counts[level] += more[level];
    }
}

typedef struct map_data {
    uint8_t *pixels;
    uint8_t levels[LEVELS]; /* new ones, by the old ones */
} map_data;

int
map(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    const map_data *const data = arg;
    uint8_t *const pixels = data->pixels;
    (void)ctx;
    for (int64_t i = begin; i < end; i++) {
        pixels[i] = data->levels[pixels[i]];
    }
    return TRT_OK;
}
// [/loops]

void
equalize_serial(uint8_t *pixels, int64_t size)
{
    int64_t counts[LEVELS] = {0}, seen = 0;
    uint8_t levels[LEVELS];
    for (int64_t i = 0; i < size; i++) {
        counts[pixels[i]]++;
    }
    for (int level = 0; level < LEVELS && size > 0; level++) {
        seen += counts[level];
        levels[level] = (uint8_t)((LEVELS - 1) * seen / size);
    }
    for (int64_t i = 0; i < size; i++) {
        pixels[i] = levels[pixels[i]];
    }
}
