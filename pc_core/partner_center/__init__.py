"""Partner Center's referrals API.

`client` sends one request at a time and retries it. It uses `links` (URLs), `transport` (one HTTPS
connection), `retry` (whether and when to try again), `answers` (bodies of successful responses)
and `refusals` (error responses).
"""
