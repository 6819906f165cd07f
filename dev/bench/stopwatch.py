"""What a contender says of itself: its clocks and its memory, written when its work is done.

Standard library only: it runs in every contender's own environment.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Begins when everything is imported, so that it leaves out the interpreter's start."""

    began_s: float = field(init=False)
    began_cpu_s: float = field(init=False)

    def __post_init__(self) -> None:
        # What the imports left to look through is theirs too: some 12 ms for 70,000 objects, in
        # the middle of whichever contender's work would have come to it.
        gc.collect()
        self.began_s = time.monotonic()
        self.began_cpu_s = time.process_time()

    def write(self, file: Path) -> None:
        """Write what was used since the beginning as JSON.

        work_s and work_cpu_s count from the beginning, cpu_s from the process's start; peak_bytes
        is the most memory that it ever held.
        """
        cpu_s = time.process_time()
        measured = {
            "work_s": time.monotonic() - self.began_s,
            "work_cpu_s": cpu_s - self.began_cpu_s,
            "cpu_s": cpu_s,
            "peak_bytes": peak_bytes(),
        }
        file.write_text(json.dumps(measured), encoding="utf-8")


def peak_bytes() -> int:
    """The most memory that this process has held since it began its program.

    The kernel's counter for resource usage goes on from the parent's, so Linux's own is used.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = _PEAK.search(status.read_text(encoding="ascii"))
        if found is not None:
            return int(found[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
