"""What the type checkers must say of sizes, numbers and the end. Checked, never run."""

from typing import assert_type

import taskrt

assert_type(taskrt.num_threads(), int)
assert_type(taskrt.num_threads("interactive"), int)
taskrt.num_threads("same")  # type: ignore[arg-type]
assert_type(taskrt.available_cpus(), int)
assert_type(taskrt.thread_id(), int)
assert_type(taskrt.get_include(), str)
assert_type(taskrt.shutdown(), bool)
assert_type(taskrt.shutdown(wait=True, cancel=False, timeout=1.5), bool)
taskrt.set_num_threads(3)
taskrt.set_num_threads("3")  # type: ignore[arg-type]
taskrt.set_num_threads(3, pool="interactive")
taskrt.set_num_threads(3, pool="other")  # type: ignore[arg-type]

assert_type(taskrt.stats()["total"]["spawned"], int)
assert_type(taskrt.stats()["workers"][0]["sleeps"], int)
taskrt.stats()["nothing"]  # type: ignore[typeddict-item]

assert_type(taskrt.info()["num_threads"], int)
assert_type(taskrt.info()["interactive_threads"], int)
assert_type(taskrt.info()["gil"], bool)
