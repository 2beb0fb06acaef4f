"""Fetches packages with pip into a folder and reads single files out of them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

READ_PLATFORM = (
    "--python-version=3.11",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
)


def fetched(requirement: str, folder: Path, *, source: bool = False) -> Path:
    """Download one package file, without what it depends on; return its path.

    Raises:
        subprocess.CalledProcessError: pip could not get it.
    """
    target = folder / requirement.replace("==", "-")
    target.mkdir(parents=True, exist_ok=True)
    # Wheels are read, not installed: those of one platform do, whatever runs here.
    kind = ["--no-binary=:all:"] if source else ["--only-binary=:all:", *READ_PLATFORM]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, *kind, "--dest", str(target), requirement], check=True)
    (path,) = target.iterdir()
    return path


def member(package: Path, name: str) -> bytes:
    """Return one file of a wheel or source archive; ``name`` leaves out an archive's top folder.

    Raises:
        KeyError: There is no such file in it.
    """
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return wheel.read(name)
    with tarfile.open(package) as archive:
        top = archive.getnames()[0].split("/")[0]
        content = archive.extractfile(f"{top}/{name}")
        if content is None:
            raise KeyError(name)
        return content.read()
