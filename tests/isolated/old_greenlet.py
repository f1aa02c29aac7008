"""Import taskrt; the environment says which greenlet it believes to be installed."""

try:
    import taskrt  # noqa: F401
except ImportError as error:
    print("ImportError:", error)
else:
    print("imported")
