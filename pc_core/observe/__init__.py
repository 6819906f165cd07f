"""What the app says of itself: one JSON line per event."""
