"""Random steps of a channel on which tasks wait, compared with a small model.

On one thread, and each step is taken to its end before the next: then who gets what is
certain. What never waits has a model in test_channel_races.py.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.gates import pinned

import taskrt
from taskrt import Channel, ChannelClosed, Task, yield_now

CLOSED = "closed"


class WaitingModel(RuleBasedStateMachine):
    """Tasks that put or get one item each; the real channel against two lists.

    `held` are the items inside, `putters` and `getters` the tasks that wait, oldest
    first, and `ends` says how those that do not wait any more must have ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threads_before = taskrt.num_threads()
        taskrt.set_num_threads(1)
        self.held: list[int] = []
        self.putters: list[int] = []
        self.getters: list[int] = []
        self.tasks: list[Task[object]] = []
        self.ends: dict[int, object] = {}
        self.closed = False

    @initialize(maxsize=st.integers(0, 3))
    def begin(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.channel: Channel[int] = Channel(maxsize)

    def settle(self) -> None:
        """Run what can run."""
        while yield_now():
            pass

    def put_one(self, number: int) -> object:
        try:
            self.channel.put(number)
        except ChannelClosed:
            return CLOSED
        return None

    def get_one(self) -> object:
        try:
            return self.channel.get()
        except ChannelClosed:
            return CLOSED

    # --- the model

    def model_put(self, me: int) -> None:
        if self.closed:
            self.ends[me] = CLOSED
        elif self.getters:
            self.ends[self.getters.pop(0)] = me
            self.ends[me] = None
        elif len(self.held) < self.maxsize:
            self.held.append(me)
            self.ends[me] = None
        else:
            self.putters.append(me)

    def model_get(self, me: int) -> None:
        if self.putters:
            self.held.append(self.putters[0])
            self.ends[self.putters.pop(0)] = None
        if self.held:
            self.ends[me] = self.held.pop(0)
        elif self.closed:
            self.ends[me] = CLOSED
        else:
            self.getters.append(me)

    def model_cancel(self, me: int) -> None:
        if me not in self.ends:
            (self.putters if me in self.putters else self.getters).remove(me)
            self.ends[me] = "cancelled"

    # --- the steps

    def start(self, *, is_put: bool) -> int:
        me = len(self.tasks)
        self.tasks.append(pinned(self.put_one, me) if is_put else pinned(self.get_one))
        return me

    @rule(kinds=st.lists(st.booleans(), min_size=1, max_size=5))
    def come(self, kinds: list[bool]) -> None:
        """Put or get, one after the other; each is an item's number as well."""
        for is_put in kinds:
            me = self.start(is_put=is_put)
            self.settle()
            (self.model_put if is_put else self.model_get)(me)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        me = data.draw(st.integers(0, len(self.tasks) - 1))
        self.tasks[me].cancel()
        self.settle()
        self.model_cancel(me)

    @precondition(lambda self: self.putters or self.getters)
    @rule(data=st.data(), cancel_first=st.booleans())
    def serve_and_cancel(self, data: st.DataObject, cancel_first: bool) -> None:
        """Both before the one that waits has run: the first of the two decides."""
        victim = data.draw(st.sampled_from(self.putters + self.getters))
        partner = data.draw(st.sampled_from([len(self.tasks), -1]))
        if cancel_first:
            self.tasks[victim].cancel()
            self.model_cancel(victim)
        self.serve_without_waiting(partner)
        if not cancel_first:
            self.tasks[victim].cancel()
            self.model_cancel(victim)
        self.settle()

    def serve_without_waiting(self, partner: int) -> None:
        """Do what somebody waits for, if that can be done at once, from main."""
        if self.getters:
            self.channel.put_nowait(partner)
            self.ends[self.getters.pop(0)] = partner
        elif self.putters:
            got = self.channel.get_nowait()
            self.held.append(self.putters[0])
            self.ends[self.putters.pop(0)] = None
            assert got == self.held.pop(0)

    @rule()
    def close(self) -> None:
        self.channel.close()
        self.settle()
        self.closed = True
        for me in self.putters + self.getters:
            self.ends[me] = CLOSED
        self.putters.clear()
        self.getters.clear()

    # --- what must hold

    @invariant()
    def agrees(self) -> None:
        if not self.tasks:
            return
        assert self.channel.qsize() == len(self.held)
        assert self.channel.closed == self.closed
        for me in self.putters + self.getters:
            assert self.tasks[me].state == "suspended"
        for me, end in self.ends.items():
            if end == "cancelled":
                assert self.tasks[me].cancelled()
            else:
                assert self.tasks[me].result(0) == end

    def teardown(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.settle()
        taskrt.set_num_threads(self.threads_before)


TestWaitingModel = WaitingModel.TestCase
TestWaitingModel.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, database=None
)
