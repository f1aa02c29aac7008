"""Two tasks wait for each other's lock, and main for both: it is told, and goes on."""

from taskrt import DeadlockError, Lock, TaskGroup, sleep


def hold_one_and_take_the_other(mine: Lock, others: Lock) -> None:
    with mine:
        sleep(0.01)  # the timer has main run one as a guest
        with others:
            pass


def main() -> None:
    first, second = Lock(), Lock()
    try:
        with TaskGroup() as group:
            group.spawn(hold_one_and_take_the_other, first, second)
            group.spawn(hold_one_and_take_the_other, second, first)
    except* DeadlockError as found:
        text = str(found.exceptions[0])
        assert text.startswith("this wait would never end: ")
        assert "waits for <locked taskrt.Lock object owner=Task-" in text
    else:
        raise AssertionError("nobody was told")
    assert not first.locked()
    assert not second.locked()


main()
