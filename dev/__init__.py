"""Everything that runs, tests and measures the app on one machine; never deployed."""
