"""Which words of a runtime mean that its CUDA context is lost for good. Pure.

After such an error every further call in the same process fails with it, whatever
is asked; only a new process can go on. Errors that a process gets over (no memory,
no kernel for this GPU, a wrong argument) are not of these.
"""

from __future__ import annotations

import re
from typing import Final

# cudaError_t: values are the same in the runtime and the driver since CUDA 10.1.
_CODES: Final = frozenset(
    {
        4,  # cudart is unloading: nothing of CUDA works in this process any more
        214,  # uncorrectable ECC error
        220,  # uncorrectable NVLink error
        700,  # illegal address
        702,  # launch timeout
        709,  # context is destroyed
        710,  # device-side assert
        714,  # hardware stack error
        715,  # illegal instruction
        716,  # misaligned address
        717,  # invalid address space
        718,  # invalid program counter
        719,  # launch failure
        721,  # tensor memory leak or contained error, by version
        999,  # unknown
    }
)
# "CUDA failure 700" is ONNX Runtime's; others write "CUDA error: 700", "cuda runtime error (77)".
_NUMBERED: Final = re.compile(
    r"\bcuda(?:\s*(?:runtime|driver))?[\s_]*(?:failure|error(?:_t)?|err)\s*(?:code)?\s*[:=#]?\s*\(?\s*(\d{1,4})\b",
    re.IGNORECASE,
)
# What cudaGetErrorString says, and how the driver and the runtime name the constants.
_WORDS: Final = re.compile(
    r"an illegal memory access was encountered"
    r"|an illegal instruction was encountered"
    r"|unspecified launch failure"
    r"|the launch timed out and was terminated"
    r"|misaligned address"
    r"|invalid program counter"
    r"|device-side assert triggered"
    r"|hardware stack error"
    r"|operation not supported on global/shared address space"
    r"|uncorrectable (?:ECC|NVLink) error"
    r"|context is destroyed"
    r"|driver shutting down"
    r"|cuda[^\n]{0,40}\bunknown error\b"
    r"|CUDA_ERROR_(?:ILLEGAL_ADDRESS|ILLEGAL_INSTRUCTION|LAUNCH_FAILED|LAUNCH_TIMEOUT|MISALIGNED_ADDRESS"
    r"|INVALID_PC|INVALID_ADDRESS_SPACE|ASSERT|HARDWARE_STACK_ERROR|ECC_UNCORRECTABLE|NVLINK_UNCORRECTABLE"
    r"|CONTEXT_IS_DESTROYED|UNKNOWN|DEINITIALIZED)\b"
    r"|cudaError(?:IllegalAddress|IllegalInstruction|LaunchFailure|LaunchTimeout|MisalignedAddress|InvalidPc"
    r"|InvalidAddressSpace|Assert|HardwareStackError|ECCUncorrectable|NvlinkUncorrectable"
    r"|ContextIsDestroyed|CudartUnloading|Unknown)\b",
    re.IGNORECASE,
)
_MOST_CHARACTERS: Final = 65_536


def sticky_cause(text: str) -> str:
    """Return the words by which an error is known to be sticky; empty if it is not.

    Args:
        text: Everything that a runtime said about one error; no more than 64 Ki characters are read.
    """
    text = text[:_MOST_CHARACTERS]
    named = _WORDS.search(text)
    if named is not None:
        return " ".join(named.group().split())
    for numbered in _NUMBERED.finditer(text):
        if int(numbered.group(1)) in _CODES:
            return " ".join(numbered.group().split())
    return ""


def is_sticky(text: str) -> bool:
    """Say whether a runtime's error means that its process must end before anything works again."""
    return bool(sticky_cause(text))
