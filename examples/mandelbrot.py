"""Draw the Mandelbrot set: rows that cost from next to nothing to very much.

Points far outside leave at once, those inside never do, so a division of the rows
beforehand would leave one worker with most of the work. `for_blocks` hands out bands of
rows and divides what is left whenever a worker has nothing to do. A band is iterated by
NumPy, which releases the GIL.

    python examples/mandelbrot.py 1200 --image mandelbrot.pgm
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from _picture import Picture
from _report import Report, needed, timed

from taskrt import parallel

PICTURE = Picture()
LIMIT = 200  # iterations after which a point counts as inside
BAND = 8  # rows: enough for NumPy to work on, few enough to share out
SHADES = " .:-=+*#%@"


def draw_band(image: Any, low: int, high: int) -> None:
    """Count the iterations of the points in rows `low` to `high`."""
    import numpy as np

    height, width = image.shape
    x = np.linspace(-2.1, 0.6, width)
    y = np.linspace(-1.2, 1.2, height)[low:high]
    c = (x + 1j * y[:, None]).ravel()
    places, z = np.arange(c.size), c.copy()
    counts = np.full(c.size, LIMIT, np.uint8)
    for count in range(LIMIT):
        inside = z.real * z.real + z.imag * z.imag <= 4
        counts[places[~inside]] = count
        places, c, z = places[inside], c[inside], z[inside]
        z = z * z + c
    image[low:high] = counts.reshape(high - low, width)


def serial(image: Any) -> None:
    """Draw the bands one after the other."""
    for low in range(0, len(image), BAND):
        draw_band(image, low, min(low + BAND, len(image)))


# [mandelbrot]
def mandelbrot(image: Any) -> None:
    """Draw the bands on all threads."""

    def draw(low: int, high: int) -> None:
        PICTURE.leaf("iterate", draw_band, image, low, high)

    parallel.for_blocks(draw, 0, len(image), grain=BAND)


# [/mandelbrot]


def sketch(image: Any, columns: int = 72) -> str:
    """Return the image in characters, about twice as high as wide."""
    step = max(1, image.shape[1] // columns)
    shades = (image[:: 2 * step, ::step] / LIMIT) ** 0.4 * (len(SHADES) - 1)
    return "\n".join("".join(SHADES[int(shade)] for shade in row) for row in shades)


def measure(argv: list[str] | None = None) -> Report:
    """Draw the set both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("width", type=int, nargs="?", default=900)
    parser.add_argument("--image", type=Path, help="write the picture there, as PGM")
    options = parser.parse_args(argv)
    np = needed("mandelbrot", "numpy", "NumPy")
    shape = options.width * 8 // 9, options.width
    expected, found = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    base, _ = timed(serial, expected)
    ours, _ = PICTURE.watch(mandelbrot, found)
    if options.image:
        options.image.write_bytes(b"P5 %d %d %d\n" % (*shape[::-1], LIMIT) + found.data)
    title = f"mandelbrot of {shape[1]} x {shape[0]} points"
    equal = bool((found == expected).all())
    return Report(title, base, {"parallel": ours}, equal, PICTURE, sketch(found))


def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return 1 if the pictures differ."""
    return measure(argv).show()


if __name__ == "__main__":
    sys.exit(main())
