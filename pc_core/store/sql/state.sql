-- name: load
SELECT {columns} FROM partner_center_sync_state

-- name: save
UPDATE partner_center_sync_state
SET {assignments},
    lease_heartbeat_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + lease_ttl
WHERE lease_fence = %(fence)s AND lease_task_id = %(task_id)s
RETURNING lease_fence

-- name: load_sign_in
SELECT sign_in::text FROM partner_center_sync_state WHERE sign_in IS NOT NULL

-- name: lock_sign_in
SELECT sign_in::text FROM partner_center_sync_state FOR NO KEY UPDATE

-- name: save_sign_in
UPDATE partner_center_sync_state SET sign_in = %(sign_in)s

-- name: load_tombstones
SELECT s.erasure_key, t.kind, t.digest
FROM partner_center_sync_state s
LEFT JOIN partner_center_tombstones t ON true
