"""Readers and subscriptions of discovery."""

from __future__ import annotations

from gateway.sensors.actions import Unwatch, Watch
from gateway.sensors.announce import Announcements
from gateway.sensors.dialect import Subscription
from gateway.sensors.homeassistant import HomeAssistant
from gateway.sensors.routes import Routes
from gateway.sensors.topic_policy import TopicPolicy

POLICY = TopicPolicy("gw", "jetson-1")
ONE = Announcements("gw", POLICY)
TWO = HomeAssistant("homeassistant", POLICY)


def test_a_filter_that_several_want_is_subscribed_to_once() -> None:
    routes = Routes()
    assert routes.ask(ONE, Subscription("a/+")) == [Watch("a/+", 1)]
    assert routes.ask(ONE, Subscription("a/+")) == []
    assert routes.ask(TWO, Subscription("a/+", qos=0)) == []
    assert routes.watch(Subscription("a/+")) == []
    assert routes.subscriptions() == (Subscription("a/+"),)
    assert routes.unask(ONE, "a/+") == []
    assert routes.unask(ONE, "a/+") == []
    assert routes.unask(TWO, "a/+") == []
    assert routes.unwatch(Subscription("a/+")) == [Unwatch("a/+")]
    assert routes.unwatch(Subscription("a/+")) == []
    assert routes.subscriptions() == ()


def test_a_topic_finds_each_of_its_readers_once() -> None:
    routes = Routes()
    routes.ask(ONE, Subscription("a/+"))
    routes.ask(ONE, Subscription("a/b"))
    routes.ask(TWO, Subscription("a/#"))
    assert set(routes.readers("a/b")) == {ONE, TWO}
    assert len(routes.readers("a/b")) == 2
    assert routes.readers("b") == ()
    assert routes.remove(ONE) == [Unwatch("a/+"), Unwatch("a/b")]
    assert routes.readers("a/b") == (TWO,)


def test_one_subscription_where_each_message_counts_is_enough_to_keep_all() -> None:
    routes = Routes()
    routes.ask(ONE, Subscription("a/+"))
    assert routes.latest_only("a/b")
    routes.ask(TWO, Subscription("a/#", latest_only=False))
    assert not routes.latest_only("a/b")
    routes.remove(TWO)
    assert routes.latest_only("a/b")
