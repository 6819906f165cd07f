"""`python3 -m dev deploy`: the runbook's commands against an azd environment."""
