"""Whether the sync works. It judges facts from the database, so that every instance says the same.

`facts` is what the database knows, `alarms` the rules, `status` what page and API show, and
`readiness` whether the app can do its work.
"""
