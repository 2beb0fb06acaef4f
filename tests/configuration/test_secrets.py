"""Where references lead, and that nothing of a secret ever shows."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.secret import Secret
from gateway.configuration.secrets import MAX_SECRET_BYTES, SecretMissing, SecretSource


def test_a_credential_is_read_from_the_folder_that_systemd_names(tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("hush\n")
    source = SecretSource({"CREDENTIALS_DIRECTORY": str(tmp_path)}, Path("/nonexistent"))
    resolved = source.resolve("${credential:mqtt-password}")
    assert (resolved.value, resolved.warning) == ("hush", "")


def test_a_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes("geheim ß\r\n".encode())
    assert SecretSource({}, tmp_path).resolve("${file:pw}").value == "geheim ß"
    assert SecretSource({}, Path("/nonexistent")).resolve(f"${{file:{tmp_path}/pw}}").value == "geheim ß"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("${credential:x}", "$CREDENTIALS_DIRECTORY is not set"),
        ("${credential:../x}", "letters, digits"),
        ("${credential:..}", "letters, digits"),
        ("${env:NOPE}", "not set"),
        ("${env:EMPTY}", "is empty"),
        ("${env:A=B}", "letters, digits"),
        ("${file:absent}", "cannot be read: No such file"),
        ("${file:.}", "not a regular file"),
        ("${file:fifo}", "not a regular file"),
        ("${file:big}", "larger than"),
        ("${file:empty}", "is empty"),
        ("${file:latin}", "not UTF-8"),
        ("${file:a\0b}", "cannot be read"),
        ("${file:}", "as the whole value"),
        ("${vault:x}", "as the whole value"),
        ("${env:X} and more", "as the whole value"),
        ("${env:X", "as the whole value"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(tmp_path: Path, reference: str, words: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(SecretMissing) as caught:
        SecretSource({"EMPTY": ""}, tmp_path).resolve(reference)
    assert words in str(caught.value)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hush")
    assert "hush" not in f"{secret} {secret!r} {[secret]}"


@given(st.text(max_size=40).map(lambda text: "${" + text))
def test_any_reference_resolves_or_is_missing(reference: str) -> None:
    source = SecretSource({"CREDENTIALS_DIRECTORY": "/nonexistent", "A": "b"}, Path("/nonexistent"))
    with contextlib.suppress(SecretMissing):
        assert source.resolve(reference).value == "b"
