"""The keyed queue: each object once, and with one worker at a time, whatever comes in when."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conductor_bus.keyed import KeyedQueue
from conductor_model.refs import GroupKind, ObjectKey

KEYS = [ObjectKey(GroupKind("g", "K"), "ns", name) for name in "abc"]


class Workers(RuleBasedStateMachine):
    """Adds, takes and releases in any order; items must come out once, in order, with no object taken twice."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: KeyedQueue[int] = KeyedQueue()
        self.added: dict[ObjectKey, list[int]] = {key: [] for key in KEYS}
        self.taken: dict[ObjectKey, list[int]] = {key: [] for key in KEYS}
        self.active: set[ObjectKey] = set()
        self.next_item = 0

    @rule(key=st.sampled_from(KEYS))
    def add(self, key: ObjectKey) -> None:
        self.queue.add(key, self.next_item)
        self.added[key].append(self.next_item)
        self.next_item += 1

    @rule()
    def take(self) -> None:
        batch = self.queue.take()
        if batch is not None:
            assert batch.key not in self.active
            assert batch.items
            self.active.add(batch.key)
            self.taken[batch.key] += batch.items

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def take_more(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        batch = self.queue.take_more(key)
        self.taken[key] += batch.items if batch else []

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        self.queue.release(key)
        self.active.discard(key)

    @invariant()
    def nothing_is_taken_twice_or_out_of_order(self) -> None:
        for key in KEYS:
            assert self.taken[key] == self.added[key][: len(self.taken[key])]

    @invariant()
    def the_queue_knows_who_is_being_worked_on(self) -> None:
        assert self.queue.active == len(self.active)

    def teardown(self) -> None:
        for key in list(self.active):
            self.queue.release(key)
        while (batch := self.queue.take()) is not None:
            self.taken[batch.key] += batch.items
            self.queue.release(batch.key)
        assert self.taken == self.added


TestWorkers = Workers.TestCase


@given(st.lists(st.sampled_from(KEYS)))
def test_draining_leaves_nothing(keys: list[ObjectKey]) -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    for number, key in enumerate(keys):
        queue.add(key, number)
    assert sorted(item for batch in queue.drain() for item in batch.items) == list(range(len(keys)))
    assert queue.take() is None
