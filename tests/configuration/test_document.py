"""YAML texts to nodes with places, and every refusal."""

from __future__ import annotations

import itertools

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config_issue import ConfigIssue
from gateway.configuration import document
from gateway.configuration.document import ListNode, MapNode, Scalar, parse
from gateway.configuration.place import Place

# Characters that make YAML what it is, far denser than chance would.
YAML_LIKE = st.text(st.sampled_from(list("ab01 :-#{}[],&*!|>'\"%@`?\n\t~<.\\é\u2028")), max_size=80)


def refusal(text: str | bytes) -> ConfigIssue:
    issue = parse(text, "f.yaml")
    assert isinstance(issue, ConfigIssue)
    return issue


def mapping(text: str | bytes) -> MapNode:
    root = parse(text, "f.yaml")
    assert isinstance(root, MapNode)
    return root


def inside(issue: ConfigIssue, text: str) -> bool:
    """Return whether an issue's place is a character of the text, or just behind one."""
    lines = document._BREAK.split(text.removeprefix("\ufeff"))
    return 1 <= issue.line <= len(lines) and 1 <= issue.column <= len(lines[issue.line - 1]) + 1


def test_every_node_knows_its_line_and_column() -> None:
    root = mapping("# top\nmqtt:\n  url: 'x'\n  list: [1, é, 2]\n")
    mqtt = root.entries[0]
    assert mqtt.key == Scalar(Place(2, 1), "mqtt", plain=True)
    assert isinstance(mqtt.value, MapNode)
    url, numbers = mqtt.value.entries
    assert url.value == Scalar(Place(3, 8), "x", plain=False)
    assert isinstance(numbers.value, ListNode)
    assert numbers.value.place == Place(4, 9)
    assert [item.place for item in numbers.value.items] == [Place(4, 10), Place(4, 13), Place(4, 16)]


@pytest.fixture(params=["libyaml", "python"])
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse with libyaml, and with the parser that PyYAML falls back to where it is missing."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader")


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", (1, 1), "empty"),
        ("# nothing but a comment\n", (1, 1), "empty"),
        (b"a: 1\nb: \xff\n", (2, 4), "not UTF-8"),
        ("a: 1\nb: \x07\n", (2, 4), "U+0007"),
        ("a:\n\tb: 1\n", (2, 1), "spaces, not tabs"),
        ("a: 1\n---\nb: 2\n", (2, 1), "second document"),
        ("a: !!python/object:os.system x\n", (1, 4), "tag"),
        ("a: !local x\n", (1, 4), "tag"),
        ("a: *nowhere\n", (1, 4), "no anchor"),
        ("a: &a [*a]\n", (1, 8), "no anchor"),
        ("a: &a 1\nb: &a [*a]\n", (2, 8), "no anchor"),
        ("a: b: c\n", (1, 5), "quotes"),
        ("topic: {prefix}/{gateway}\n", (1, 16), "quotes"),
        ("a: 'open\n", (2, 1), "quoted"),
    ],
)
def test_what_is_not_taken_is_refused_at_its_place(
    text: str | bytes, place: tuple[int, int], words: str
) -> None:
    issue = refusal(text)
    assert (issue.line, issue.column) == place
    assert words in issue.what


def test_a_byte_order_mark_moves_nothing() -> None:
    assert mapping("\ufeffa: 1".encode()).entries[0].key.place == Place(1, 1)


def test_a_duplicate_key_is_a_fault_that_names_the_first_one() -> None:
    root = mapping("a: 1\nb: 2\na: 3\n")
    (fault,) = root.faults
    assert (fault.place, fault.key) == (Place(3, 1), "a")
    assert "line 1" in fault.what
    assert [entry.key.text for entry in root.entries] == ["a", "b"]


def test_a_key_that_is_a_list_is_a_fault() -> None:
    (fault,) = mapping("? [a, b]\n: 1\n").faults
    assert fault.place == Place(1, 3)


def test_a_merge_key_fills_in_what_is_not_written() -> None:
    root = mapping("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\n")
    other = root.entries[1].value
    assert isinstance(other, MapNode)
    values = {e.key.text: e.value.text for e in other.entries if isinstance(e.value, Scalar)}
    assert values == {"x": "1", "y": "3"}


def test_a_merge_key_with_a_word_is_a_fault() -> None:
    (fault,) = mapping("<<: word\n").faults
    assert fault.key == "<<"


def test_an_alias_stands_for_the_very_node_of_its_anchor() -> None:
    root = mapping("a: &x [1]\nb: *x\n")
    assert root.entries[0].value is root.entries[1].value


def test_an_alias_bomb_is_counted_as_if_written_out() -> None:
    names = "abcdefghijklmnop"
    lines = ["a: &a [x, x, x, x, x, x, x, x]"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} [" + ", ".join([f"*{before}"] * 8) + "]")
    assert f"more than {document.MAX_NODES} values" in refusal("\n".join(lines)).what


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "[?"])
def test_a_nest_is_refused_at_its_limit(opening: str) -> None:
    text = opening * (document.MAX_BYTES // len(opening) - 1)
    assert "nested deeper" in refusal(text).what


def test_nesting_through_aliases_is_refused_at_the_same_limit() -> None:
    lines = ["k0: &k0 [x]"] + [f"k{i}: &k{i} [*k{i - 1}]" for i in range(1, document.MAX_DEPTH + 1)]
    issue = refusal("\n".join(lines))
    assert "nested deeper" in issue.what
    assert issue.line == document.MAX_DEPTH


def test_a_file_beyond_the_byte_limit_is_not_parsed() -> None:
    assert str(document.MAX_BYTES) in refusal("#" * (document.MAX_BYTES + 1)).what
    assert "empty" in refusal("#" * document.MAX_BYTES).what


@given(st.one_of(YAML_LIKE, st.text(max_size=60)))
def test_any_text_gives_a_tree_or_an_issue_inside_the_text(text: str) -> None:
    outcome = parse(text, "f.yaml")
    if isinstance(outcome, ConfigIssue):
        assert inside(outcome, text)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_tree_or_an_issue(data: bytes) -> None:
    outcome = parse(data, "f.yaml")
    assert isinstance(outcome, ConfigIssue | Scalar | ListNode | MapNode)
