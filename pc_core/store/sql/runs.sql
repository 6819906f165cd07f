-- name: open
INSERT INTO partner_center_sync_runs (
    task_id, trigger, mode, state, invocation_id, started_at, heartbeat_at, finished_at,
    head_completed_at, sweep_completed_at, watermark_at, counts, failure
)
VALUES (
    %(task_id)s, %(trigger)s, %(mode)s, %(state)s, %(invocation_id)s, %(started_at)s,
    clock_timestamp(), %(finished_at)s, %(head_completed_at)s, %(sweep_completed_at)s,
    %(watermark_at)s, %(counts)s, %(failure)s
)
ON CONFLICT (task_id) DO NOTHING

-- name: mend
-- The run that has taken the lease is the only one alive.
UPDATE partner_center_sync_runs
SET state = 'interrupted',
    finished_at = greatest(heartbeat_at, started_at),
    failure = %(failure)s
WHERE state = 'running' AND task_id <> %(task_id)s

-- name: save
UPDATE partner_center_sync_runs
SET trigger = %(trigger)s,
    mode = %(mode)s,
    state = %(state)s,
    invocation_id = %(invocation_id)s,
    heartbeat_at = clock_timestamp(),
    finished_at = %(finished_at)s,
    head_completed_at = %(head_completed_at)s,
    sweep_completed_at = %(sweep_completed_at)s,
    watermark_at = %(watermark_at)s,
    counts = %(counts)s,
    failure = %(failure)s
WHERE task_id = %(task_id)s

-- name: beat
-- A run that lost its lease meanwhile has ended, and gets no heartbeat.
UPDATE partner_center_sync_runs SET heartbeat_at = clock_timestamp()
WHERE task_id = %(task_id)s AND state = 'running'
