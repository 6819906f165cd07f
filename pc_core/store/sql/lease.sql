-- name: who_holds
SELECT lease_task_id, lease_expires_at,
    coalesce(lease_expires_at > clock_timestamp() AND lease_task_id <> %(task_id)s, false)
FROM partner_center_sync_state

-- name: take
-- Asking again for the same run is not somebody else: the answer to the first time got lost.
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
