"""One JSON item to one row. Pure: no I/O, no clock."""
