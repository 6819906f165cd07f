"""Ends what another process has started, as soon as that process is gone, however it went.

It reads lines of JSON from its standard input, which only the watched process can write to:
`{"pid": 1, "created_at_s": 2.0, "signal": 15}` to watch a process, with `"forget": true` to leave
it alone. The end of the input means that the watched process has closed it or has died.
"""

import json
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dev.services import ending


def main() -> None:
    """Watch until the input ends, then end what is left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    watched: dict[int, tuple[float, int]] = {}
    for line in sys.stdin:
        entry = json.loads(line)
        if entry.get("forget"):
            watched.pop(entry["pid"], None)
        else:
            watched[entry["pid"]] = (entry["created_at_s"], entry["signal"])
    left = []
    for pid, (created_at_s, gentle_signal) in watched.items():
        process = ending.find(pid, created_at_s)
        if process is not None:
            left.append((process, gentle_signal))
    ending.end(left)


if __name__ == "__main__":
    main()
