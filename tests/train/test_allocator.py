from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from recsys.train.allocator import keep_freed_memory
assert {keep} is False or keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the option is glibc's")
def test_freed_blocks_are_used_again_without_new_page_faults() -> None:
    returned, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True
            ).stdout
        )
        for keep in (False, True)
    )
    assert kept * 10 < returned
