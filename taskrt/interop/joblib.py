"""A backend of joblib: its batches are tasks, and share the pool with everything else.

>>> import joblib
>>> from taskrt.interop.joblib import register
>>> register()
>>> with joblib.parallel_config(backend="taskrt", n_jobs=-1):
...     joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(5))
[0, 1, 4, 9, 16]
"""

__all__ = ["register"]


def register() -> None:
    """Make the backend "taskrt" known to joblib; again does nothing.

    Raises ImportError if joblib is not installed, or older than 1.4. Imports it, and
    starts nothing. Any thread.
    """
    try:
        from taskrt.interop._joblib_backend import install
    except ImportError as error:
        raise ImportError(
            "register() needs joblib 1.4 or later, which is not installed: "
            "pip install 'taskrt[joblib]'"
        ) from error
    install()
