"""What the app reports of itself: `events` writes one JSON line each, `calls` counts calls."""
