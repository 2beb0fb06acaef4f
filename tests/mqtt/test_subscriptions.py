"""Which filters the broker is told, against a broker of two dicts that answers late or never."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.mqtt.message import Message
from gateway.mqtt.subscriptions import (
    CHUNK_BYTES,
    CHUNK_FILTERS,
    EXACT_IDENTIFIER,
    RETAINED_NEVER,
    Subscription,
    Subscriptions,
    Wanted,
    identifier_of,
)


def ignore(message: Message) -> None:
    """Stand in for a subscriber."""


def ignore_too(message: Message) -> None:
    """Stand in for another subscriber."""


def test_many_wishes_make_few_packets() -> None:
    subscriptions = Subscriptions()
    for index in range(2000):
        subscriptions.add(Subscription(f"frames/{index}", 0, ignore))
    plan = subscriptions.plan()
    assert len(plan.subscribe) == 2000 / CHUNK_FILTERS
    assert sum(len(chunk) for chunk in plan.subscribe) == 2000
    assert subscriptions.plan().subscribe == ()


def test_long_filters_make_small_packets() -> None:
    subscriptions = Subscriptions()
    for index in range(20):
        subscriptions.add(Subscription(f"{index:02}/" + "x" * 3000, 0, ignore))
    for chunk in subscriptions.plan().subscribe:
        assert sum(len(one.filter) for one in chunk) <= CHUNK_BYTES


def test_subscribers_of_one_filter_share_the_most_that_any_wants() -> None:
    subscriptions = Subscriptions()
    subscriptions.add(Subscription("a", 0, ignore, RETAINED_NEVER, no_local=True))
    subscriptions.add(Subscription("a", 1, ignore_too))
    assert subscriptions.plan().subscribe == ((Wanted("a", 1, 0, no_local=False),),)
    subscriptions.remove("a", ignore_too)
    assert subscriptions.plan().subscribe == ((Wanted("a", 0, RETAINED_NEVER, no_local=True),),)
    subscriptions.remove("a")
    assert subscriptions.plan().unsubscribe == (("a",),)
    assert subscriptions.match("a") == ()


def test_a_late_subscriber_of_an_old_filter_gets_its_retained_messages() -> None:
    subscriptions = Subscriptions()
    subscriptions.add(Subscription("a", 0, ignore))
    subscriptions.plan()
    subscriptions.add(Subscription("a", 0, ignore_too))
    assert len(subscriptions.plan().subscribe) == 1


def test_a_refused_filter_is_named_and_asked_for_again_after_a_reconnect() -> None:
    subscriptions = Subscriptions()
    subscriptions.connected(session_present=False)
    for name in ("allowed", "secret"):
        subscriptions.add(Subscription(name, 0, ignore, RETAINED_NEVER))
    (chunk,) = subscriptions.plan().subscribe
    subscriptions.asked(1, (one.filter for one in chunk))
    assert subscriptions.answered(1, [0, 0x87]) == (("secret", 0x87),)
    assert subscriptions.settled
    subscriptions.connected(session_present=True)
    (chunk,) = subscriptions.plan().subscribe
    assert [one.filter for one in chunk] == ["secret"]


def test_with_a_session_only_what_wants_retained_messages_is_asked_for_again() -> None:
    subscriptions = Subscriptions()
    subscriptions.add(Subscription("announcements/+", 1, ignore))
    subscriptions.add(Subscription("frames", 0, ignore, RETAINED_NEVER))
    for mid, chunk in enumerate(subscriptions.plan().subscribe):
        subscriptions.asked(mid, (one.filter for one in chunk))
        subscriptions.answered(mid, [0])
    subscriptions.connected(session_present=True)
    assert [[one.filter for one in chunk] for chunk in subscriptions.plan().subscribe] == [
        ["announcements/+"]
    ]
    subscriptions.connected(session_present=False)
    told = [[one.filter for one in chunk] for chunk in subscriptions.plan().subscribe]
    assert told == [["frames"], ["announcements/+"]]


def test_a_message_goes_to_those_for_whom_it_was_sent() -> None:
    subscriptions = Subscriptions()
    exact, wild, rest = (Subscription(path, 0, ignore) for path in ("frames/a", "frames/+", "$share/all/#"))
    for one in (exact, wild, rest):
        subscriptions.add(one)
    identifiers = [identifier_of(one.filter) for one in (exact, wild, rest)]
    assert len(set(identifiers)) == 3
    assert list(subscriptions.match("frames/a", (EXACT_IDENTIFIER,))) == [exact]
    assert list(subscriptions.match("frames/a", (identifiers[1],))) == [wild]
    assert list(subscriptions.match("frames/a", tuple(identifiers))) == [exact, wild, rest]
    assert list(subscriptions.match("frames/b", (identifiers[2], identifiers[2]))) == [rest]
    assert set(subscriptions.match("frames/a")) == {exact, wild, rest}
    assert list(subscriptions.match("frames/a", (12345,))) == []


@given(st.text(max_size=20))
def test_an_identifier_is_one_that_mqtt_allows(words: str) -> None:
    assert 1 <= identifier_of(words.encode("utf-8", "replace").decode() + "/+") <= 268_435_455


FILTERS = st.sampled_from(["a", "b", "c/+", "#"])


class BrokerMachine(RuleBasedStateMachine):
    """After every plan a broker that answers holds what is wanted, whatever was lost on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions = Subscriptions()
        self.wanted: dict[str, int] = {}
        self.session: dict[str, int] = {}
        self.on_the_way: dict[int, list[tuple[str, int | None]]] = {}
        self.mid = 0
        self.online = False

    @rule(filter=FILTERS, qos=st.integers(0, 1), retain_handling=st.sampled_from([0, 2]))
    def subscribe(self, filter: str, qos: int, retain_handling: int) -> None:
        self.subscriptions.add(Subscription(filter, qos, ignore, retain_handling))
        self.wanted[filter] = max(qos, self.wanted.get(filter, 0))

    @rule(filter=FILTERS)
    def unsubscribe(self, filter: str) -> None:
        self.subscriptions.remove(filter)
        self.wanted.pop(filter, None)

    @precondition(lambda self: self.online)
    @rule()
    def tell(self) -> None:
        plan = self.subscriptions.plan()
        packets: list[list[tuple[str, int | None]]] = [
            [(path, None) for path in chunk] for chunk in plan.unsubscribe
        ]
        packets += [[(one.filter, one.qos) for one in chunk] for chunk in plan.subscribe]
        for packet in packets:
            self.mid += 1
            self.subscriptions.asked(self.mid, (path for path, _ in packet))
            self.on_the_way[self.mid] = packet

    @precondition(lambda self: self.on_the_way)
    @rule()
    def answer(self) -> None:
        mid = min(self.on_the_way)
        for path, qos in self.on_the_way.pop(mid):
            if qos is None:
                self.session.pop(path, None)
            else:
                self.session[path] = qos
        self.subscriptions.answered(mid, [0, 0, 0, 0])

    @rule(keep=st.booleans())
    def reconnect(self, keep: bool) -> None:
        self.subscriptions.lost()
        self.on_the_way.clear()
        if not keep:
            self.session.clear()
        self.subscriptions.connected(session_present=keep)
        self.online = True

    @invariant()
    def a_settled_broker_holds_what_is_wanted(self) -> None:
        if self.online and self.subscriptions.settled:
            assert self.session == self.wanted


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(max_examples=30, stateful_step_count=30)
