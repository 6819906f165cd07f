"""The programs that are measured side by side, each run as a process of its own."""
