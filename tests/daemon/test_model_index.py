"""The repository's index says where everything is, and why it is not ready."""

from __future__ import annotations

from gateway.configuration.serving_settings import AliasTarget
from gateway.daemon.alias_table import Alias, AliasState
from gateway.daemon.model_index import Known, entries
from gateway.daemon.model_state import ModelState, ModelStatus
from gateway.serving.model_view import IndexEntry


def known(**changes: object) -> Known:
    held: dict[str, object] = {
        "models": [],
        "status": {},
        "serving": {},
        "beside": [],
        "trouble": {},
        "aliases": {},
    }
    return Known(**{**held, **changes})  # type: ignore[arg-type]


def test_every_state_of_a_model_has_a_word_of_the_protocol_and_its_reason() -> None:
    status = {state.value: ModelStatus(state, f"because {state.value}") for state in ModelState}
    said = entries(known(models=sorted(status), status=status), lambda _: "")
    assert {entry.name: entry.state for entry in said} == {
        "cold": "UNAVAILABLE",
        "failed": "UNAVAILABLE",
        "out-of-service": "UNAVAILABLE",
        "proving": "LOADING",
        "serving": "READY",
        "starting": "LOADING",
        "unloaded": "UNAVAILABLE",
        "unloading": "UNLOADING",
    }
    assert all(entry.reason == f"because {entry.name}" for entry in said)
    assert [entry.name for entry in said] == sorted(status)


def test_a_model_that_is_not_looked_at_yet_is_loading() -> None:
    (said,) = entries(known(models=["a"]), lambda _: "")
    assert (said.state, said.reason) == ("LOADING", "it is not looked at yet")


def test_versions_beside_have_lines_of_their_own() -> None:
    said = entries(
        known(
            models=["a"],
            status={"a": ModelStatus(ModelState.SERVING)},
            serving={"a": "2.0.0"},
            beside=[("a", "7")],
            trouble={("a", "9"): "no release 9", ("a", "7"): "its new lanes did not start"},
        ),
        lambda _: "",
    )
    assert said == (
        IndexEntry("a", "2.0.0", "READY"),
        IndexEntry("a", "7", "READY"),
        IndexEntry("a", "9", "UNAVAILABLE", "no release 9"),
    )


def test_an_alias_is_ready_as_long_as_one_of_its_shares_is_answered() -> None:
    both = (AliasTarget("a", "7", 90), AliasTarget("a", "8", 10), AliasTarget("b", "", 0))
    alias = Alias("x", both, both, AliasState.DEFINED)

    def said(*amiss: str) -> tuple[str, str]:
        (entry,) = entries(
            known(aliases={"x": alias}), lambda each: "it died" if each.version in amiss else ""
        )
        return entry.state, entry.reason

    assert said() == ("READY", "")
    assert said("8") == ("READY", "a@8: it died")
    assert said("7", "8") == ("UNAVAILABLE", "a@7: it died; a@8: it died")


def test_an_alias_that_leads_nowhere_yet_is_loading_until_that_fails() -> None:
    wish = (AliasTarget("a", "7"),)
    (entry,) = entries(known(aliases={"x": Alias("x", wish)}), lambda _: "")
    assert (entry.state, entry.reason) == ("LOADING", "transitioning to a@7")
    failed = Alias("x", wish, state=AliasState.TRANSITION_FAILED, reason="no release 7")
    (entry,) = entries(known(aliases={"x": failed}), lambda _: "")
    assert (entry.state, entry.reason) == ("UNAVAILABLE", "transition-failed to a@7: no release 7")
