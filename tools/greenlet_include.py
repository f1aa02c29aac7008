"""Print the directory below which <greenlet/greenlet.h> lies."""

import importlib.util
from pathlib import Path

spec = importlib.util.find_spec("greenlet")
if spec is None or not spec.submodule_search_locations:
    raise SystemExit("greenlet is not installed; its header is needed to build taskrt")
header = Path(spec.submodule_search_locations[0], "greenlet.h")
if not header.is_file():
    raise SystemExit(f"greenlet is installed, but {header} is missing")
print(header.parents[1])
