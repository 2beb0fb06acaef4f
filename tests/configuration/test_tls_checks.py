"""Certificates, keys and authorities that cannot be used are named before the gateway starts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.configuration.load import inspect
from gateway.configuration.serving_settings import TlsSettings
from gateway.configuration.tls_checks import check_tls


@pytest.fixture(scope="module", name="made")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority, a certificate of it, and keys that fit and do not."""
    folder = tmp_path_factory.mktemp("tls")
    openssl(
        folder, "req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2"
    )
    openssl(folder, "req", *KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=orin")
    openssl(
        folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", "server.pem", "-days", "2",
    )  # fmt: skip
    openssl(folder, "pkey", "-in", "server.key", "-aes256", "-passout", "pass:hush", "-out", "locked.key")
    for name in ("ca.key", "server.key", "server.csr", "locked.key"):
        (folder / name).chmod(0o600)
    return folder


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def found(
    folder: Path, certificate: str = "", key: str = "", authority: str = ""
) -> list[tuple[str, str, bool]]:
    def path(name: str) -> str:
        return str(folder / name) if name else ""

    findings = check_tls(TlsSettings(path(certificate), path(key), path(authority)))
    return [(each.path.removeprefix("serving.tls."), each.what, each.is_warning) for each in findings]


def test_no_tls_needs_nothing(made: Path) -> None:
    assert found(made) == []


def test_files_that_fit_are_sound(made: Path) -> None:
    assert found(made, "server.pem", "server.key", "ca.pem") == []


@pytest.mark.parametrize(
    ("files", "key", "words"),
    [
        (("nowhere.pem", "server.key", ""), "certificate_file", "No such file"),
        (("server.pem", "nowhere.key", ""), "key_file", "No such file"),
        (("server.pem", "server.key", "nowhere.pem"), "client_ca_file", "No such file"),
        (("server.pem", "ca.key", ""), "key_file", "is not the key of"),
        (("server.pem", "server.csr", ""), "key_file", "holds no private key"),
        (("server.pem", "locked.key", ""), "key_file", "wants a password"),
        (("server.key", "server.key", ""), "certificate_file", "cannot be used"),
        (("server.pem", "server.key", "server.key"), "client_ca_file", "cannot be used"),
        (("server.pem", "server.key", "server.pem"), "client_ca_file", "holds no authority"),
    ],
)
def test_what_cannot_be_used_is_named(made: Path, files: tuple[str, str, str], key: str, words: str) -> None:
    ((path, what, is_warning),) = found(made, *files)
    assert (path, is_warning) == (key, False)
    assert words in what


@pytest.mark.parametrize("spoil", [lambda text: text[: len(text) // 2], lambda text: text.replace("M", "!")])
def test_a_damaged_file_is_named(made: Path, tmp_path: Path, spoil: Callable[[str], str]) -> None:
    for name in ("server.pem", "server.key"):
        shutil.copy(made / name, tmp_path)
    certificate = tmp_path / "server.pem"
    certificate.write_text(spoil(certificate.read_text()))
    assert [(path, warning) for path, _, warning in found(tmp_path, "server.pem", "server.key")] == [
        ("certificate_file", False)
    ]


def test_a_key_that_every_user_may_read_is_unwise(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "server.pem", tmp_path)
    shutil.copy(made / "server.key", tmp_path)
    (tmp_path / "server.key").chmod(0o644)
    ((path, what, is_warning),) = found(tmp_path, "server.pem", "server.key")
    assert (path, is_warning) == ("key_file", True)
    assert "chmod 600" in what


def test_paths_are_relative_to_the_configuration(made: Path) -> None:
    file = made / "gateway.yaml"
    file.write_text(
        "http: {listen: '0.0.0.0:8443'}\n"
        "serving:\n  models_dir: drop\n  tls:\n    certificate_file: server.pem\n    key_file: server.key\n"
        "    client_ca_file: ca.pem\n  shared_memory: {socket: run/memory}\n"
    )
    file.chmod(0o600)
    inspected = inspect(file, {})
    assert [str(issue) for issue in inspected.issues] == []
    serving = inspected.settings.serving
    assert serving.tls.certificate_file == str(made / "server.pem")
    assert (serving.models_dir, serving.shared_memory.socket) == (
        str(made / "drop"),
        str(made / "run/memory"),
    )
