"""Whether the sync is well: alarms, readiness, status."""
