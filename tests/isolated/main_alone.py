"""Main waits, as the only worker, for what a task of another thread would do.

That thread goes on with something else, and main does not start its tasks.
"""

import threading

from taskrt import Channel, Event, Lock, Semaphore, TaskGroup, spawn

done = threading.Event()


def beside(work: object, *args: object) -> threading.Thread:
    def run() -> None:
        spawn(work, *args)  # type: ignore[arg-type]
        done.wait()  # nothing of taskrt

    thread = threading.Thread(target=run)
    thread.start()
    return thread


event, channel, lock, semaphore = Event(), Channel[int](), Lock(), Semaphore(0)
lock.acquire()
threads = [beside(event.set)]
assert event.wait()
threads.append(beside(channel.put, 7))
assert channel.get() == 7
threads.append(beside(lock.release))
assert lock.acquire()
threads.append(beside(semaphore.release))
with TaskGroup() as group:  # a task of main's waits, and main for that
    group.spawn(semaphore.acquire)
done.set()
for thread in threads:
    thread.join()
