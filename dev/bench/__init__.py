"""`python3 -m dev bench`: this product beside the usual tool and beside the floor."""

from __future__ import annotations


def main(arguments: list[str]) -> int:
    """Measure as asked; returns the exit code."""
    from dev.bench.command import main as run

    return run(arguments)
