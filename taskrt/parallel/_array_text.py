"""Sorting text of fixed width: by its characters, as many at a time as 64 bits hold.

A key is 8, 4 or 2 characters as an integer, whose order is theirs; how many depends on
the greatest character of all. Our kernel sorts the keys of the beginnings. Where keys
are equal, a group of equal beginnings lies side by side, and what is in groups is
sorted by the next key within its group, until there is no group left or no character.
Text is padded with zeros, so that a shorter one comes before what it begins.

Source: as multikey quicksort, but with several characters in a key: J. Bentley and
R. Sedgewick, Fast algorithms for sorting and searching strings, SODA 1997.
"""

from importlib import import_module

from taskrt import _kernels
from taskrt.parallel._arrays import Array, is_same
from taskrt.parallel._blocks import run_blocks

BLOCK = 1 << 14  # items
SAMPLE = 64  # items, in which a common beginning is looked for first


class _Characters:
    """Texts as rows of characters: numbers without a sign."""

    def __init__(self, texts: Array) -> None:
        code = "u1" if texts.dtype.kind == "S" else "u4"
        self.rows = texts.view(code).reshape(len(texts), -1)
        self.width = int(self.rows.shape[1])
        self.begin = self.common_beginning()  # how many are the same in all
        size = 1 if code == "u1" else _size_of(self.greatest())
        self.in_key = 8 // size  # how many there are in a key
        self.code = f">u{size}"

    def common_beginning(self) -> int:
        rows = self.rows
        some = _count_common(rows[0], rows[:: 1 + len(rows) // SAMPLE])
        found = [some]

        def look(low: int, high: int) -> None:
            found.append(_count_common(rows[0, :some], rows[low:high, :some]))

        if some:
            run_blocks(len(rows), look, grain=BLOCK)
        return min(found)

    def greatest(self) -> int:
        found = []

        def look(low: int, high: int) -> None:
            found.append(self.rows[low:high].max())

        run_blocks(len(self.rows), look, grain=BLOCK)
        return int(max(found))

    def keys(self, first: int, items: Array | None = None) -> Array:
        """Return the keys of the characters from `first` on, of all or some items."""
        numpy = import_module("numpy")
        length = len(self.rows) if items is None else len(items)
        last = min(first + self.in_key, self.width)
        keys = numpy.empty(length, "u8")

        def pack(low: int, high: int) -> None:
            codes = numpy.zeros((high - low, self.in_key), self.code)
            chosen = slice(low, high) if items is None else items[low:high]
            codes[:, : last - first] = self.rows[chosen, first:last]
            keys[low:high] = codes.view(">u8")[:, 0]

        run_blocks(length, pack, grain=BLOCK)
        return keys

    def unpack(self, keys: Array, target: Array) -> None:
        """Write texts of which keys hold all that is not the same in all of them."""
        rows = target.view(self.rows.dtype).reshape(len(target), -1)
        begin, rest = self.begin, self.width - self.begin

        def unpack_some(low: int, high: int) -> None:
            codes = keys[low:high].astype(">u8").view(self.code)
            rows[low:high, :begin] = self.rows[0, :begin]
            rows[low:high, begin:] = codes.reshape(-1, self.in_key)[:, :rest]

        run_blocks(len(keys), unpack_some, grain=BLOCK)


def _count_common(row: Array, rows: Array) -> int:
    """Return with how many characters of one text all of these begin."""
    same = (rows == row).all(axis=0)
    return int(same.argmin()) if not same.all() else len(row)


def _size_of(character: int) -> int:
    return 1 if character < 1 << 8 else 2 if character < 1 << 16 else 4


def sort_text(source: Array, target: Array) -> None:
    """Sort one row of text into `target`, which is apart from `source` or the same."""
    numpy = import_module("numpy")
    texts = numpy.require(source, source.dtype.newbyteorder("="), "CA")
    characters = _Characters(texts)
    if characters.width <= characters.begin + characters.in_key:
        keys = characters.keys(characters.begin)
        _kernels.sort(keys)
        sorted_texts = numpy.empty(len(texts), texts.dtype)
        characters.unpack(keys, sorted_texts)
        target[:] = sorted_texts
        return
    order = _order_of(texts, characters)
    if is_same(texts, target):
        texts = texts.copy()

    def take(low: int, high: int) -> None:
        target[low:high] = texts.take(order[low:high])

    run_blocks(len(texts), take, grain=BLOCK)


def argsort_text(texts: Array) -> Array:
    """Return the indices that sort one row of text."""
    numpy = import_module("numpy")
    texts = numpy.require(texts, texts.dtype.newbyteorder("="), "CA")
    return _order_of(texts, _Characters(texts))


def _argsort(keys: Array) -> Array:
    order = import_module("numpy").empty(len(keys), "i8")
    _kernels.argsort(keys, order)
    return order


def _order_of(texts: Array, characters: _Characters) -> Array:
    numpy = import_module("numpy")
    begin, in_key = characters.begin, characters.in_key
    keys = characters.keys(begin)
    order = _argsort(keys)
    keys = keys.take(order)
    # Where in the order the items are of which there is more to compare; and which
    # group of equal beginnings each belongs to, a number that grows.
    places = numpy.arange(len(order))
    groups = numpy.zeros(len(order), "i8")
    following = range(begin + in_key, characters.width, in_key)
    for step, first in enumerate(following):
        places, groups = _groups_of(places, groups, keys)
        if step & (step - 1) == 0:  # this costs about as much as a step
            places, groups = _drop_equals(texts, order, places, groups)
        if not len(places):
            break
        items = order[places]
        keys = characters.keys(first, items)
        within = _argsort(keys)
        if groups[-1] > 0:
            within = within.take(_argsort(groups.take(within)))
        order[places] = items.take(within)
        keys = keys.take(within)
    return order


def _groups_of(places: Array, groups: Array, keys: Array) -> tuple[Array, Array]:
    """Divide groups by their sorted keys; leave out those of one item."""
    numpy = import_module("numpy")
    begins = numpy.ones(len(places), bool)
    begins[1:] = (keys[1:] != keys[:-1]) | (groups[1:] != groups[:-1])
    shared = ~begins
    shared[:-1] |= ~begins[1:]
    return _keep(places, numpy.cumsum(begins), shared)


def _drop_equals(
    texts: Array, order: Array, places: Array, groups: Array
) -> tuple[Array, Array]:
    """Leave out groups all of whose texts are equal."""
    numpy = import_module("numpy")
    if not len(places):
        return places, groups
    items = texts.take(order[places])
    differs = numpy.zeros(len(places), bool)
    differs[1:] = (items[1:] != items[:-1]) & (groups[1:] == groups[:-1])
    mixed = numpy.bincount(groups, differs) > 0
    return _keep(places, groups, mixed[groups])


def _keep(places: Array, groups: Array, kept: Array) -> tuple[Array, Array]:
    """Return what is kept, with groups numbered from 0."""
    numpy = import_module("numpy")
    places, groups = places[kept], groups[kept]
    numbers = numpy.zeros(len(groups), "i8")
    numpy.cumsum(groups[1:] != groups[:-1], out=numbers[1:])
    return places, numbers
