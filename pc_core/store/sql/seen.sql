-- name: note
INSERT INTO partner_center_sweep_seen AS s (walk, referral_id)
SELECT w.walk, i.referral_id
FROM json_array_elements_text(%(walks)s::json) AS w (walk)
CROSS JOIN json_array_elements_text(%(ids)s::json) AS i (referral_id)
ON CONFLICT (walk, referral_id) DO UPDATE SET gone = false WHERE s.gone

-- name: forget
DELETE FROM partner_center_sweep_seen
WHERE walk IN (SELECT json_array_elements_text(%(walks)s::json))

-- name: not_read_above
-- pc_updated_at is never earlier than the capped ticks, so its index finds every candidate.
SELECT count(*)
FROM partner_center_referrals r
WHERE r.missing_since IS NULL
    AND r.pc_updated_at >= %(stop_at)s
    AND r.pc_updated_ticks >= %(stop_ticks)s
    AND r.referral_id NOT IN (SELECT json_array_elements_text(%(just_seen)s::json))
    AND NOT EXISTS (
        SELECT FROM partner_center_sweep_seen s
        WHERE s.walk = 'head' AND s.referral_id = r.referral_id
    )
    AND (
        NOT %(among_swept)s
        OR EXISTS (
            SELECT FROM partner_center_sweep_seen s
            WHERE s.walk = 'sweep' AND s.referral_id = r.referral_id AND NOT s.gone
        )
    )

-- name: unseen
SELECT count(*),
    count(*) FILTER (WHERE s.referral_id IS NULL),
    count(*) FILTER (WHERE s.gone)
FROM partner_center_referrals r
LEFT JOIN partner_center_sweep_seen s ON s.walk = 'sweep' AND s.referral_id = r.referral_id
WHERE r.missing_since IS NULL

-- name: unseen_ids
SELECT r.referral_id
FROM partner_center_referrals r
WHERE r.missing_since IS NULL
    AND NOT EXISTS (
        SELECT FROM partner_center_sweep_seen s
        WHERE s.walk = 'sweep' AND s.referral_id = r.referral_id
    )
ORDER BY r.referral_id
LIMIT %(limit)s

-- name: note_gone
INSERT INTO partner_center_sweep_seen (walk, referral_id, gone)
SELECT 'sweep', i.referral_id, true
FROM json_array_elements_text(%(ids)s::json) AS i (referral_id)
ON CONFLICT DO NOTHING

-- name: mark_missing
WITH marked AS (
    UPDATE partner_center_referrals r
    SET missing_since = now(), synced_at = now(), updated_at = now()
    FROM partner_center_sweep_seen s
    WHERE s.walk = 'sweep'
        AND s.gone
        AND s.referral_id = r.referral_id
        AND r.missing_since IS NULL
    RETURNING r.referral_id
),
noted AS (
    INSERT INTO partner_center_referral_changes (referral_id, task_id, changed_at, field, after)
    SELECT referral_id, %(task_id)s, now(), 'missing_since', to_jsonb(now())
    FROM marked
    RETURNING 1
)
SELECT count(*) FROM noted
