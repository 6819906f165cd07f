-- name: load
SELECT watermark_ticks, order_verdict, order_checked_at, order_refuted_at, top_caps_at,
    head::text, sweep::text, shrank_at, shrank_unseen, shrank_present, recompute_after,
    fingerprint::text, organization_id, tenant_id, last_success_at, last_sweep_at
FROM partner_center_sync_state

-- name: save
UPDATE partner_center_sync_state
SET watermark_ticks = %(watermark_ticks)s,
    order_verdict = %(order_verdict)s,
    order_checked_at = %(order_checked_at)s,
    order_refuted_at = %(order_refuted_at)s,
    top_caps_at = %(top_caps_at)s,
    head = %(head)s,
    sweep = %(sweep)s,
    shrank_at = %(shrank_at)s,
    shrank_unseen = %(shrank_unseen)s,
    shrank_present = %(shrank_present)s,
    recompute_after = %(recompute_after)s,
    fingerprint = %(fingerprint)s,
    organization_id = %(organization_id)s,
    tenant_id = %(tenant_id)s,
    last_success_at = %(last_success_at)s,
    last_sweep_at = %(last_sweep_at)s,
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
