-- name: open
INSERT INTO partner_center_sync_runs ({columns}, heartbeat_at)
VALUES ({values}, clock_timestamp())
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
SET {assignments}, heartbeat_at = clock_timestamp()
WHERE task_id = %(task_id)s

-- name: beat
-- A run that lost its lease meanwhile has ended, and gets no heartbeat.
UPDATE partner_center_sync_runs SET heartbeat_at = clock_timestamp()
WHERE task_id = %(task_id)s AND state = 'running'
