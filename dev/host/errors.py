"""What stops the host from starting."""


class HostError(Exception):
    """The app or its configuration is unusable; the message says where and why."""
