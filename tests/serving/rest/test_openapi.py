"""The OpenAPI document is true: an outsider asks all that it allows and more, and finds nothing wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.serving.rest.openapi import document
from gateway.serving.rest.routes import ROUTES
from tests.serving.rest.rest_house import RestHouse
from tests.serving.rest.served import served

HERE = Path(__file__).parent
DOCUMENT = document("gateway", "1", 2**28)


def test_every_route_is_described_but_what_is_always_refused() -> None:
    described = {(path, method) for path, place in DOCUMENT["paths"].items() for method in place}
    left_out = {route.action for route in ROUTES if (route.path, route.method.lower()) not in described}
    assert left_out == {"register_cuda_memory"}


def test_operations_have_names_of_their_own() -> None:
    names = [
        each["operationId"]
        for place in DOCUMENT["paths"].values()
        for each in place.values()
        if "summary" in each
    ]
    assert len(names) == len(set(names))


def test_schemas_are_schemas_and_every_reference_leads_to_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(DOCUMENT)
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted - set(schemas) == set()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2", "ServerMetadata"),
        ("/v2/models/add_sub", "ModelMetadata"),
        ("/v2/models/add_sub/config", "ModelConfig"),
        ("/v2/models/stats", "Statistics"),
        ("/v2/logging", "LogSettings"),
        ("/v2/trace/setting", "TraceSettings"),
        ("/v2/models/nope", "Error"),
    ],
)
def test_answers_are_as_described(path: str, name: str) -> None:
    schema: dict[str, Any] = {**DOCUMENT["components"]["schemas"][name], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(RestHouse().get("GET", path).json)


def test_the_document_is_served() -> None:
    assert RestHouse().get("GET", "/openapi.json").json["openapi"] == "3.1.0"


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_schemathesis_finds_nothing_wrong(tmp_path: Path, phase: str) -> None:
    with served(max_body_bytes=1_048_576) as door:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{door.url}/openapi.json", "--phases", phase, "--max-examples", "5"),
            *("--seed", "1", "--no-color"),
        ]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
