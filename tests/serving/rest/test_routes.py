"""Paths lead where the table says, names may hold anything, and nothing else leads anywhere."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.serving.access.caller import ADMIN
from gateway.serving.rest.routes import ROUTES, match


@given(st.sampled_from(ROUTES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
@example(ROUTES[0], "x")
def test_every_route_is_found_by_its_path_with_any_name(route: object, name: str) -> None:
    assert hasattr(route, "path")
    path = route.path
    for each in ("model", "version", "region", "alias"):
        path = path.replace(f"{{{each}}}", quote(name, safe=""))
    if name == "stats" or (name in {"ready", "config"} and "{model}" in route.path):
        return
    for spelled in (path, f"{path}/"):
        found = match(spelled.encode())
        assert found is not None
        assert found.route(getattr(route, "method", "")) == route
        assert set(found.names.values()) <= {name}


def test_a_model_may_be_called_like_a_page() -> None:
    found = match(b"/v2/models/stats/ready")
    assert found is not None
    assert (found.names, found.methods["GET"].action) == ({"model": "stats"}, "model_ready")
    every = match(b"/v2/models/stats")
    assert every is not None
    assert every.methods["GET"].action == "all_statistics"


def test_escaped_slashes_belong_to_names() -> None:
    found = match(b"/v2/models/a%2Fb/versions/1.0+cpu%20x/infer")
    assert found is not None
    assert found.names == {"model": "a/b", "version": "1.0+cpu x"}


@pytest.mark.parametrize(
    "path",
    [
        *(b"", b"v2", b"/", b"//v2", b"/v2//", b"/v3", b"/v2/models//ready", b"/v2/models/%ff"),
        *(b"/v2/models/" + b"a" * 300, b"/v2/models/m/versions", b"/v2" * 20, b"/v2/models/m/infer/x"),
    ],
)
def test_other_paths_lead_nowhere(path: bytes) -> None:
    assert match(path) is None


@given(st.binary(max_size=60))
def test_any_path_is_looked_up(path: bytes) -> None:
    match(b"/v2/" + path)


def test_what_changes_the_gateway_needs_an_administrator() -> None:
    admins = {route.action for route in ROUTES if route.need == ADMIN}
    assert admins == {"load", "unload", "change_alias", "set_log_settings", "set_trace_settings"}
