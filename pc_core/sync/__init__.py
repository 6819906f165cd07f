"""One run, from its lease to its report. Begin with `run`: it tells the story.

The way of a page: `head` and `sweep` decide which page comes next, `reading` fetches it and reads
its items, `saving` lets `plan` decide what becomes of each item and commits the page. What the
walks themselves decide (is the order right, is a sweep due, what is missing) stands in `order` and
`sweeping`, without I/O.

Glossary:

- *Run*: one sync, from taking the lease to its report. Its id is the task id.
- *Lease*: the right to write. One run at a time has it, over all instances (`under_lease`).
- *State* (`SyncState`): what one run leaves to the next, such as the watermark and the place where
  an unfinished walk goes on. *Run state* is how a run ended; *sign-in state* is what Entra says.
- *Page*: one answer of Partner Center's list.
- *Walk*: reading the list page by page. There are two:
  - *Head*, the incremental sync: newest change first, until everything is older than the
    watermark. Every run does it.
  - *Sweep*, the full sync: every referral, oldest first, over as many runs as it takes.
- *Watermark*: every change up to it has been read.
- *Shrunken view*: a sweep that no longer sees many stored referrals. It waits for an operator.
- *Set aside*: kept in quarantine, because it could not be understood.
"""
