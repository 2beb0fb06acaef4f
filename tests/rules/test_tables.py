"""The closed lists are true: what is logged, counted and raised is listed, and what is listed exists."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from collections import Counter
from typing import Final

from gateway.error_words import leaves
from gateway.errors import GatewayError
from gateway.operations.events import COMMON_FIELDS, EVENTS
from gateway.operations.metrics import Metrics
from tests.rules.tree import ROOT, event_calls, sources

# Written by the log itself, not by a call that names them.
BY_THE_LOG: Final = {"library_message", "log_lines_lost", "repeated", "unlisted"}

# Import names that differ from the names under which packages are installed.
INSTALLED_AS: Final = {
    "PIL": "pillow",
    "google": "protobuf",
    "grpc": "grpcio",
    "paho": "paho-mqtt",
    "pynvml": "nvidia-ml-py",
    "systemd": "systemd-python",
    "yaml": "PyYAML",
}


def test_every_event_that_is_logged_is_listed_with_its_fields() -> None:
    wrong = [
        f"{call.place}: {call.name} {sorted(call.fields)}"
        for call in event_calls()
        if call.name not in EVENTS or call.fields - {*EVENTS[call.name].fields, *COMMON_FIELDS}
    ]
    assert wrong == []


def test_every_listed_event_is_logged_somewhere() -> None:
    assert set(EVENTS) - {call.name for call in event_calls()} == BY_THE_LOG


def test_every_listed_event_says_in_a_sentence_what_it_means_and_names_its_subject() -> None:
    for name, kind in EVENTS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert kind.doc.endswith("."), name
        assert set(kind.subject or ()) <= set(kind.fields), name


def test_every_metric_is_counted_or_read_somewhere() -> None:
    text = "\n".join(
        source.text for source in sources("gateway") if source.path.name not in {"metrics.py", "series.py"}
    )
    unused = [name for name in vars(Metrics()) if not re.search(rf"\.{name}\b", text)]
    assert unused == ["build_info"]


def test_error_labels_are_unique_and_lie_in_the_family_of_their_parent() -> None:
    labels = Counter(leaf.label for leaf in leaves())
    assert [label for label, count in labels.items() if count > 1] == []
    for leaf in leaves():
        parent = next(cls for cls in leaf.__mro__[1:] if issubclass(cls, GatewayError))
        if parent is not GatewayError:
            assert leaf.label.startswith(f"{parent.label}."), leaf


def test_every_error_that_is_raised_is_one_of_ours_or_of_python() -> None:
    """No class outside ``gateway.errors`` derives from the root of errors."""
    assert {cls.__module__ for cls in leaves()} == {"gateway.errors"}


def test_every_foreign_import_is_a_declared_dependency_and_every_dependency_is_explained() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = setup["options"]["install_requires"].split("\n")
    for lines in setup["options.extras_require"].values():
        wanted += lines.split("\n")
    declared = {re.split(r"[<>=;\[ ]", line)[0] for line in wanted if line and not line.startswith("#")}
    text = "\n".join(source.text for source in sources("gateway"))
    imported = re.findall(r"^\s*(?:import|from) ([A-Za-z_]\w*)", text, re.MULTILINE)
    foreign = {
        INSTALLED_AS.get(name, name.replace("_", "-"))
        for name in imported
        if name not in {*sys.stdlib_module_names, "_typeshed", "gateway"}  # type checkers bring the second
    }
    assert foreign - declared == set()
    decision = (ROOT / "docs/adr/0015-dependencies.md").read_text(encoding="utf-8")
    assert {name for name in declared if f"`{name}`" not in decision} == set()


def test_the_made_parts_of_the_docs_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts/make-docs"), "--check"]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (made.returncode, made.stdout.strip()) == (0, ""), made.stderr
