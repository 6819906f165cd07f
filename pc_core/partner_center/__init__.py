"""The adapter to Partner Center's referrals API."""
