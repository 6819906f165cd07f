"""What a contender is asked to do, handed over as a JSON file.

Standard library only: it runs in every contender's own environment.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

LIST_PATH = "/v1.0/engagements/referrals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One load, or one update of what an earlier load has brought.

    Attributes:
        api_url: scheme and host of the API.
        ca_file: PEM file of its authority.
        token: access token, for those that do not sign in.
        database_url: libpq URL.
        page_size: rows to ask for in a page.
        first: whether nothing has been loaded yet.
        folder: for what the contender keeps between two of its runs.
        measures: where `Stopwatch` writes.
    """

    api_url: str
    ca_file: str
    token: str
    database_url: str
    page_size: int
    first: bool
    folder: str
    measures: str

    @classmethod
    def read(cls) -> Task:
        """The task of this process, in the file that its first argument names."""
        return cls(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

    def write(self, file: Path) -> None:
        """Hand the task over; the file is its owner's alone, for it holds a token."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            json.dump(asdict(self), output)
