from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.messages.message import Message, MessageKind
from labthings_fastapi.messages.topic import KINDS, Topic, TopicIndex

ONE = UUID(int=1)
TWO = UUID(int=2)

kinds = st.sampled_from(sorted(KINDS))
names = st.sampled_from(["a", "b"])
invocations = st.sampled_from([None, ONE, TWO])
messages = st.builds(
    Message, kinds, names, names, st.just(b"null"), st.none(), invocation=invocations
)
topics = st.builds(
    Topic,
    thing=st.none() | names,
    affordance=st.none() | names,
    invocation=invocations,
    kinds=st.none() | st.frozensets(kinds),
)


def status(thing: str = "stage", invocation: UUID | None = ONE) -> Message:
    return Message("status", thing, "move", b"{}", invocation=invocation)


@pytest.mark.parametrize(
    ("topic", "matches"),
    [
        (Topic(), True),
        (Topic(thing="stage"), True),
        (Topic(thing="camera"), False),
        (Topic(affordance="move"), True),
        (Topic(affordance="home"), False),
        (Topic(invocation=ONE), True),
        (Topic(invocation=TWO), False),
        (Topic(kinds=frozenset({"status", "log"})), True),
        (Topic(kinds=frozenset({"log"})), False),
        (Topic(kinds=frozenset()), False),
        (Topic("stage", "move", ONE, frozenset({"status"})), True),
        (Topic("stage", "home", ONE, frozenset({"status"})), False),
    ],
)
def test_a_topic_selects_by_every_member_that_is_given(topic: Topic, matches: bool) -> None:
    assert topic.matches(status()) is matches


@given(st.lists(topics), messages)
def test_the_index_finds_just_the_topics_that_match(
    some_topics: list[Topic], message: Message
) -> None:
    index: TopicIndex[int] = TopicIndex()
    for number, topic in enumerate(some_topics):
        index.add(topic, number)
    expected = [number for number, topic in enumerate(some_topics) if topic.matches(message)]
    assert sorted(index.matching(message)) == expected


@given(st.lists(topics, min_size=1), messages)
def test_a_removed_subscriber_is_not_found_and_the_others_are(
    some_topics: list[Topic], message: Message
) -> None:
    index: TopicIndex[int] = TopicIndex()
    for number, topic in enumerate(some_topics):
        index.add(topic, number)
    index.remove(some_topics[0], 0)
    expected = [n for n, topic in enumerate(some_topics) if n and topic.matches(message)]
    assert sorted(index.matching(message)) == expected


def test_removing_an_unknown_subscriber_does_nothing() -> None:
    index: TopicIndex[str] = TopicIndex()
    index.add(Topic(thing="stage"), "known")
    index.remove(Topic(thing="stage"), "unknown")
    index.remove(Topic(thing="camera"), "unknown")
    assert index.matching(status()) == ["known"]


def test_a_listing_is_not_disturbed_by_later_changes() -> None:
    """The broker goes through one listing while subscriptions end."""
    index: TopicIndex[str] = TopicIndex()
    index.add(Topic(), "one")
    found = index.matching(status())
    index.remove(Topic(), "one")
    assert found == ["one"]


def test_every_kind_has_its_place() -> None:
    expected: set[MessageKind] = {
        "status",
        "progress",
        "log",
        "result",
        "property",
        "reading-failed",
        "event",
        "gap",
    }
    assert expected == KINDS
