"""What free-threaded interpreters need of greenlet."""

import sys

# The first that neither turns the GIL on nor leaves the garbage collector off, and that
# lets go of the locks of critical sections when it switches.
_FIRST_FREE_THREADED = (3, 5, 4)

# sysconfig knows too, but loads what the interpreter was built with.
_IS_FREE_THREADED = "free-threading build" in sys.version


def check_greenlet() -> None:
    """Raise ImportError if the installed greenlet cannot be used here.

    Only free-threaded builds are picky. An old one may have turned the GIL on by then,
    as it was imported.
    """
    if not _IS_FREE_THREADED:
        return
    # Not by importlib.metadata, which brings in all of e-mail and zip archives.
    from greenlet import __version__ as found

    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    if numbers < _FIRST_FREE_THREADED:
        wanted = ".".join(map(str, _FIRST_FREE_THREADED))
        raise ImportError(
            f"taskrt needs greenlet {wanted} or later on a free-threaded Python, and "
            f"found {found}: that one turns the GIL back on or the garbage collector "
            f"off. Install another: pip install 'greenlet>={wanted}' (on 3.13t from "
            "source, see the installation notes)"
        )


def quiet_greenlet() -> None:
    """Turn off greenlet's search for leaked main greenlets of threads that have ended.

    It compares reference counts exactly, and on free-threaded builds a count reads one
    too high while another thread has yet to merge it: then greenlet drops a reference
    that is not its own, and the process crashes. Without the search, a main greenlet
    that really was left behind stays allocated. With the GIL counts are exact and
    nothing is changed.
    """
    if _IS_FREE_THREADED:
        from greenlet._greenlet import enable_optional_cleanup

        enable_optional_cleanup(False)
