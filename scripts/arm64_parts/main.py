"""Boots an emulated arm64 machine, tries the gateway in it, and fails if anything is not as it should be."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.arm64_parts.image import make, missing  # noqa: E402 - the path comes first
from tests.arm64.root import CORE  # noqa: E402

_TRIAL = Path(__file__).parent / "trial.py"
# Findings that a whole run has; fewer mean that it broke off.
_CHECKS = 8
_APPEND = "console=ttyAMA0 rdinit=/lib/systemd/systemd panic=-1 psi=1 systemd.show_status=0 quiet"


def main() -> int:
    """Run and print; return the exit code: 0 all held, 1 something did not, 2 not tried."""
    options = _options()
    if lacking := missing():
        print(f"arm64-vm: NOT TRIED, for {', '.join(lacking)} is not there")
        return 2
    began_s = time.monotonic()
    try:
        kernel, image = make(_TRIAL)
    except subprocess.CalledProcessError as error:
        print(f"arm64-vm: NOT TRIED, for its files could not be made: {error}")
        return 2
    print(
        f"arm64-vm: image of {image.stat().st_size >> 20} MiB made in {time.monotonic() - began_s:.0f} s",
        flush=True,
    )
    options.log.parent.mkdir(parents=True, exist_ok=True)
    found, whole = _boot(kernel, image, options)
    for each in found:
        print(f"{'ok  ' if each['held'] else 'FAIL'} {each['s']:>6} s  {each['check']}")
        if not each["held"]:
            print(f"     {json.dumps(each['seen'])}")
    whole = whole and len(found) == _CHECKS
    print(f"arm64-vm: {time.monotonic() - began_s:.0f} s{'' if whole else ', BROKE OFF'}; {options.log}")
    return 0 if whole and all(each["held"] for each in found) else 1


def _boot(kernel: Path, image: Path, options: argparse.Namespace) -> tuple[list[dict[str, object]], bool]:
    """Run the machine until it turns itself off; return its findings, and whether they are all."""
    command = [
        "qemu-system-aarch64",
        "-M",
        "virt",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        CORE,
        "-m",
        "4G",
        "-smp",
        "2",
    ]
    command += ["-nic", "none", "-nographic", "-no-reboot", "-kernel", str(kernel), "-initrd", str(image)]
    with options.log.open("w") as log:
        machine = subprocess.Popen(
            [*command, "-append", _APPEND], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            machine.wait(options.limit)
        except subprocess.TimeoutExpired:
            print(f"arm64-vm: it took longer than {options.limit} s")
        finally:
            machine.kill()
            machine.wait()
    lines = options.log.read_text(errors="replace").splitlines()
    said = [json.loads(line[line.index("@@ ") + 3 :]) for line in lines if "@@ {" in line]
    return [each for each in said if "check" in each], any(each.get("end") for each in said)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test --arm64-vm", description=__doc__)
    parser.add_argument(
        "--log", type=Path, default=ROOT / "var/arm64-vm.log", help="what the machine's console said"
    )
    parser.add_argument(
        "--limit", type=float, default=3600.0, metavar="S", help="longest time that it may run"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
