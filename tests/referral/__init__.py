"""The pure rules of a referral."""
