"""Partner Center referrals, kept in PostgreSQL: everything behind the triggers of function_app."""

__version__ = "0.1.0"
