"""One JSON item of the API to one row of the table. Pure: no I/O, no clock.

The way of an item, file by file:

1. `read`: `parse(item)` makes a `Referral` of the item's bytes, or a `Malformed` with the reason.
   It uses `wire` (the JSON as Microsoft sends it), `values` (one field at a time), `storable`
   (what PostgreSQL cannot hold) and `content_hash` (whether anything changed).
2. `referral`: the two results and the limits of what is accepted.
3. `row`: `build_row(referral)` fills the table's columns. It uses `classification` (category and
   type), `company_domain` (with `hosts`, `suffixes` and `domain_lists`) and `words` (search).

Whether a referral is stored at all is decided by `admission` (the filter settings) and
`tombstones` (erased customers). `ticks` converts instants to 100 ns.
"""
