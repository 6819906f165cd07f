"""The servers that the app needs, run on loopback for as long as one local process lives."""
