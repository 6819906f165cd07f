-- name: who_holds
SELECT lease_task_id, lease_expires_at,
    coalesce(lease_expires_at > clock_timestamp() AND lease_task_id <> %(task_id)s, false)
FROM partner_center_sync_state

-- name: take
-- The same run may ask again: the answer to its first request may have been lost.
UPDATE partner_center_sync_state
SET lease_fence = lease_fence + 1,
    lease_task_id = %(task_id)s,
    lease_holder = %(holder)s,
    lease_ttl = make_interval(secs => %(ttl_s)s),
    lease_heartbeat_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s)
WHERE lease_task_id IS NULL
    OR lease_task_id = %(task_id)s
    OR lease_expires_at <= clock_timestamp()
RETURNING lease_fence

-- name: keep
UPDATE partner_center_sync_state
SET lease_heartbeat_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + lease_ttl
WHERE lease_fence = %(fence)s AND lease_task_id = %(task_id)s
RETURNING lease_fence

-- name: give_back
UPDATE partner_center_sync_state
SET lease_task_id = NULL,
    lease_holder = NULL,
    lease_ttl = NULL,
    lease_heartbeat_at = NULL,
    lease_expires_at = NULL
WHERE lease_fence = %(fence)s AND lease_task_id = %(task_id)s
RETURNING lease_fence

-- name: end_silent_holder
-- xmax of a row holds the number of the transaction that is changing it. A role may end its own
-- sessions. The lease's expiry is tested again, because its holder may just have extended it.
SELECT pg_terminate_backend(a.pid)
FROM partner_center_sync_state s
JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = s.xmax AND l.granted
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE coalesce(s.lease_expires_at <= clock_timestamp(), true)
    AND a.usename = current_user
    AND a.wait_event_type = 'Client'
    AND a.query_start < clock_timestamp() - interval '5 s'
