-- Old rows are deleted in portions, each in its own transaction that checks the lease.

-- name: runs
DELETE FROM partner_center_sync_runs
WHERE task_id IN (
    SELECT task_id
    FROM partner_center_sync_runs
    WHERE started_at < now() - make_interval(days => %(days)s) AND state <> 'running'
    ORDER BY started_at
    LIMIT %(portion)s
)
RETURNING 1

-- name: quarantine
DELETE FROM partner_center_quarantine
WHERE entry_id IN (
    SELECT entry_id
    FROM partner_center_quarantine
    WHERE state <> 'open' AND settled_at < now() - make_interval(days => %(days)s)
    ORDER BY settled_at
    LIMIT %(portion)s
)
RETURNING 1

-- name: changes
DELETE FROM partner_center_referral_changes
WHERE change_id IN (
    SELECT change_id
    FROM partner_center_referral_changes
    WHERE changed_at < now() - make_interval(days => %(days)s)
    LIMIT %(portion)s
)
RETURNING 1
