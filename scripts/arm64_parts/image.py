"""Files of a whole arm64 machine: Debian with systemd, this tree, and wheels of all that it needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import wheel
from tests.arm64.root import SUITE
from tests.arm64.wheel_tags import options, requirements
from tests.rules.tree import ROOT, files

PLACE = Path("/var/tmp/gateway-arm64-vm")  # noqa: S108 - for root alone
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Extracted, not configured: nothing of it has to run here, so what pulls in a configured system is named.
_PACKAGES = (
    "base-files base-passwd bash ca-certificates coreutils curl dash dbus diffutils findutils grep gzip "
    "hostname kmod libc-bin libgomp1 libnss-systemd libpam-modules libpam-runtime libpython3.11-stdlib "
    "libstdc++6 linux-image-cloud-arm64 login mawk media-types mosquitto mount openssl passwd procps "
    "python3-minimal python3-pip-whl python3-setuptools-whl python3.11 python3.11-venv sed systemd "
    "systemd-sysv tar util-linux"
)
_MASKED = "systemd-timesyncd systemd-networkd systemd-resolved systemd-logind getty@ serial-getty@"
_TRIAL = """\
[Unit]
After=basic.target dbus.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyAMA0
ExecStart=/usr/bin/python3.11 /srv/trial.py
ExecStopPost=/bin/systemctl poweroff -ff
"""
_SETTLE = r"""
set -e
cd "$1"
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
echo 'messagebus:x:100:101::/nonexistent:/usr/sbin/nologin' >>etc/passwd
echo 'mosquitto:x:101:102::/var/lib/mosquitto:/usr/sbin/nologin' >>etc/passwd
printf 'messagebus:x:101:\nmosquitto:x:102:\n' >>etc/group
printf 'passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files dns\n' >etc/nsswitch.conf
printf '127.0.0.1 localhost arm64-trial\n' >etc/hosts
for kind in auth account password session session-noninteractive; do
    echo "${kind%%-*} required pam_permit.so" >"etc/pam.d/common-$kind"
done
echo arm64-trial >etc/hostname
: >etc/machine-id
ln -sf ../usr/lib/os-release etc/os-release
mkdir -p dev proc sys run tmp root opt srv usr/local/bin usr/local/sbin var/lib/mosquitto var/log/mosquitto
chmod 1777 tmp
chown 101:102 var/lib/mosquitto var/log/mosquitto
rm -rf usr/share/doc usr/share/locale usr/share/man var/cache/apt usr/lib/modules/*/kernel/drivers
mv boot/vmlinuz-* ../vmlinuz
rm -rf boot/*
"""


def missing() -> list[str]:
    """Return what this machine lacks."""
    lacking = [] if os.geteuid() == 0 else ["root"]
    needs = ("mmdebstrap", "qemu-system-aarch64", "cpio")
    return lacking + [need for need in needs if shutil.which(need, path=_PATH) is None]


def make(trial: Path) -> tuple[Path, Path]:
    """Return a kernel and an image of the machine; it runs ``trial`` and then turns itself off.

    Raises:
        CalledProcessError: A part could not be fetched or made.
    """
    parts = [SUITE, _PACKAGES, _MASKED, _SETTLE, _TRIAL]
    folder = PLACE / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    if not folder.is_dir():
        _fetch(folder)
    root = folder / "root"
    shutil.rmtree(root / "srv")
    (root / "srv").mkdir()
    _lay_tree(root / "srv/gateway")
    _lay_wheels(root / "srv/wheels")
    shutil.copyfile(trial, root / "srv/trial.py")
    image = folder / "image.cpio"
    with image.open("wb") as file:
        pack = ["sh", "-c", "find . -xdev | cpio -o -H newc --quiet"]
        subprocess.run(pack, check=True, cwd=root, stdout=file)
    return folder / "vmlinuz", image


def _fetch(folder: Path) -> None:
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    command = ["mmdebstrap", "-q", "--variant=extract", "--architectures=arm64"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--include={','.join(_PACKAGES.split())}", SUITE, str(making / "root")]
    subprocess.run(command, check=True, env={"PATH": _PATH, **_proxies()})
    root = making / "root"
    subprocess.run(["sh", "-c", _SETTLE, "sh", str(root)], check=True)
    units = root / "etc/systemd/system"
    for name in _MASKED.split():
        (units / f"{name}.service").symlink_to("/dev/null")
    (units / "trial.service").write_text(_TRIAL)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/trial.service").symlink_to("../trial.service")
    making.rename(folder)


def _proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _lay_tree(target: Path) -> None:
    for path in files():
        if (
            path.parts[0] in {"gateway", "models", "config", "deploy", "scripts", "docs"}
            or len(path.parts) == 1
        ):
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, copy)


def _lay_wheels(target: Path) -> None:
    wanted = requirements("demo")
    kept = PLACE / ("wheels." + hashlib.sha256("\n".join([*wanted, *options()]).encode()).hexdigest()[:16])
    if not kept.is_dir():
        making = kept.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--dest", str(making), *options(), *wanted], check=True)
        making.rename(kept)
    shutil.copytree(kept, target)
    with tempfile.TemporaryDirectory(prefix="wheel.", dir=PLACE) as name:
        shutil.copy2(wheel.build(Path(name)), target)
