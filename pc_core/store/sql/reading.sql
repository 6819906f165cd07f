-- name: may_create_temporary
SELECT has_database_privilege(current_database(), 'TEMPORARY')

-- name: referral
SELECT * FROM partner_center_referrals r WHERE r.referral_id = %(referral_id)s

-- name: changes
SELECT change_id, task_id, changed_at, field, before, after
FROM partner_center_referral_changes
WHERE referral_id = %(referral_id)s
ORDER BY change_id DESC
LIMIT %(limit)s

-- name: runs
-- A run whose lease has expired counts as interrupted, even before the next run marks it so.
SELECT r.task_id,
    CASE WHEN r.state = 'running' AND s.lease_task_id IS NULL THEN 'interrupted' ELSE r.state END,
    r.trigger, r.mode, r.started_at, r.invocation_id,
    CASE WHEN r.state = 'running' AND s.lease_task_id IS NULL THEN r.heartbeat_at
        ELSE r.finished_at END,
    r.head_completed_at, r.sweep_completed_at, r.watermark_at, r.counts::text, r.failure::text
FROM partner_center_sync_runs r
LEFT JOIN partner_center_sync_state s
    ON s.lease_task_id = r.task_id AND s.lease_expires_at > clock_timestamp()

-- name: quarantine
SELECT entry_id, referral_id, reason, field, detail, state, task_id, first_seen_at, settled_at,
    raw_text
FROM partner_center_quarantine

-- name: drift
-- The drift of the last ended sweep: the sum over the runs since the sweep before it.
WITH ended AS (
    SELECT started_at
    FROM partner_center_sync_runs
    WHERE sweep_completed_at IS NOT NULL
    ORDER BY started_at DESC
    LIMIT 2
)
SELECT coalesce(sum(r.drift), 0)::bigint
FROM partner_center_sync_runs r
WHERE r.started_at <= (SELECT max(started_at) FROM ended)
    AND r.started_at > (
        SELECT CASE WHEN count(*) = 2 THEN min(started_at) ELSE '-infinity' END FROM ended
    )

-- name: last_sweep_received
-- The sum over the run that ended the sweep and the partial runs right before it.
WITH ended AS (
    SELECT started_at
    FROM partner_center_sync_runs
    WHERE sweep_completed_at IS NOT NULL
    ORDER BY started_at DESC
    LIMIT 1
)
SELECT sum(r.fetched)::bigint
FROM partner_center_sync_runs r, ended
WHERE r.started_at <= ended.started_at
    AND r.started_at > coalesce(
        (
            SELECT p.started_at
            FROM partner_center_sync_runs p
            WHERE p.started_at < ended.started_at AND p.state <> 'partial'
            ORDER BY p.started_at DESC
            LIMIT 1
        ),
        '-infinity'
    )

-- name: first_run
SELECT min(started_at) FROM partner_center_sync_runs

-- name: quarantine_count
SELECT count(*) FROM partner_center_quarantine WHERE state = 'open'

-- name: facets
SELECT coalesce(status, ''), coalesce(referral_type, ''), count(*)
FROM partner_center_referrals
GROUP BY status, referral_type

-- name: missing
SELECT count(*), count(*) FILTER (WHERE status IN ('New', 'Active'))
FROM partner_center_referrals
WHERE missing_since IS NOT NULL

-- name: version
-- While this stays the same, the counts do too: every write happens under a lease.
SELECT s.lease_fence, r.task_id, r.state, r.counts::text
FROM partner_center_sync_state s
LEFT JOIN LATERAL (
    SELECT task_id, state, counts FROM partner_center_sync_runs ORDER BY started_at DESC LIMIT 1
) r ON true

-- name: weeks
-- By the week of creation in Partner Center; weeks begin on Monday, UTC.
SELECT date_trunc('week', pc_created_at AT TIME ZONE 'UTC')::date, coalesce(referral_type, ''),
    count(*)
FROM partner_center_referrals
WHERE pc_created_at >= %(since)s
GROUP BY 1, 2
ORDER BY 1, 2

-- name: countries
SELECT customer_country, count(*)
FROM partner_center_referrals
WHERE customer_country IS NOT NULL
GROUP BY customer_country
ORDER BY count(*) DESC, customer_country
LIMIT %(limit)s
