"""`recsys doctor`: what is installed and what the machine can do, to read or to paste into a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recsys import __version__
from recsys.errors import RequestError
from recsys.report.console import Column, ConsoleTable, say, show_table

PACKAGES = ("torch", "lightning", "polars", "hydra-core", "omegaconf", "numpy", "scikit-learn", "safetensors")
EXTRAS = {
    "faiss": ("cpu or cuda", "residual k-means, search by inner product"),
    "fbgemm_gpu": ("make setup", "fused embedding tables"),
    "torchrec": ("make setup", "embedding=torchrec"),
    "transformers": ("llm", "published networks and their weights"),
    "gymnasium": ("gym", "simulated users as an environment"),
    "peft": ("llm", "low-rank adapters"),
    "sentence_transformers": ("text", "items from text by a sentence encoder"),
}
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "neon", "asimd", "sve")
GIB = 2**30

Facts = dict[str, str]


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        RequestError: it was given arguments.
    """
    if "--help" in arguments:
        say("recsys doctor\n\nPrints versions, the machine, its devices and which extras work; takes no arguments.")
        return
    if arguments:
        raise RequestError(f"it takes no arguments, found {' '.join(arguments)}")
    for title, facts in doctor().items():
        columns = [Column("", words=True), Column("", words=True)]
        show_table(ConsoleTable(columns, list(facts.items()), title, lines="all"))


def doctor(folder: Path | None = None) -> dict[str, Facts]:
    """Facts by section: versions, machine, devices, extras.

    Args:
        folder: whose disk to look at; None = the working directory.
    """
    return {
        "versions": versions(),
        "machine": machine(folder or Path.cwd()),
        "devices": devices(),
        "extras": {name: extra(name) for name in EXTRAS},
    }


def versions() -> Facts:
    """Return the versions of this package, of Python and of what is always installed."""
    return {"recsys": __version__, "python": sys.version.split()[0], **{name: installed(name) for name in PACKAGES}}


def installed(package: str) -> str:
    """Return the installed version, or that there is none.

    >>> installed("no-such-package")
    'not installed'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def machine(folder: Path) -> Facts:
    """System, processor, memory and disk; sizes in GiB."""
    facts = {"system": platform.platform(), "processor": processor(), "cores": str(os.cpu_count())}
    facts["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "not set")
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        facts["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GIB:.1f} GiB"
    usage = shutil.disk_usage(folder)
    facts["free disk"] = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB at {folder}"
    return facts


def processor() -> str:
    """Its name and those of its features that speed up networks, where the system tells."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    told = {key.strip(): value.strip() for key, value in lines.items()}
    flags = (told.get("flags") or told.get("Features") or "").split()
    return " ".join([told.get("model name", platform.machine()), *(one for one in FEATURES if one in flags)])


def devices() -> Facts:
    """Return what torch can compute on."""
    import torch

    facts = {"cpu": f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"}
    facts["cuda"] = f"{torch.version.cuda}" if torch.cuda.is_available() else "none: " + _why_no_cuda()
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        facts[f"cuda:{index}"] = f"{device.name}, {device.total_memory / GIB:.1f} GiB, {device.major}.{device.minor}"
    if torch.backends.mps.is_available():
        facts["mps"] = "available"
    return facts


def extra(module: str) -> str:
    """Version of an optional module that imports, or why it does not and how to get it."""
    source, purpose = EXTRAS[module]
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            return f"not installed ({source}); for {purpose}"
        return f"does not import: it needs {error.name} ({source}); for {purpose}"
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        return f"does not import: {type(error).__name__}: {reason}; for {purpose}"
    return f"{getattr(found, '__version__', 'imports')}; for {purpose}"


def _why_no_cuda() -> str:
    import torch

    return "no device is visible" if torch.version.cuda else "this torch was built without it"
