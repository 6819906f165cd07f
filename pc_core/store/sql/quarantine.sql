-- name: set_aside
-- Content that is stored already is not inserted again; if its entry was closed, it is reopened.
WITH incoming AS (
    SELECT DISTINCT ON (i.key, i.content_hash) i.*
    FROM (
        SELECT n.*, decode(n.hash, 'hex') AS content_hash, coalesce(n.referral_id, '') AS key
        FROM ROWS FROM (
            json_to_recordset(%(entries)s::json) AS (
                referral_id text, hash text, reason text, field text, detail text, raw_text text,
                updated_ticks bigint
            )
        ) WITH ORDINALITY AS n (
            referral_id, hash, reason, field, detail, raw_text, updated_ticks, place
        )
    ) i
    ORDER BY i.key, i.content_hash, i.place
),
reopened AS (
    UPDATE partner_center_quarantine q
    SET state = 'open', settled_at = NULL
    FROM incoming i
    WHERE coalesce(q.referral_id, '') = i.key
        AND q.content_hash = i.content_hash
        AND q.state = 'closed'
)
INSERT INTO partner_center_quarantine (
    referral_id, content_hash, reason, field, detail, raw_text, updated_ticks, task_id,
    first_seen_at
)
SELECT i.referral_id, i.content_hash, i.reason, i.field, i.detail, i.raw_text, i.updated_ticks,
    %(task_id)s, %(fetched_at)s
FROM incoming i
WHERE NOT EXISTS (
    SELECT FROM partner_center_quarantine q
    WHERE coalesce(q.referral_id, '') = i.key AND q.content_hash = i.content_hash
)
ORDER BY i.place
ON CONFLICT (coalesce(referral_id, ''), content_hash) DO NOTHING

-- name: close
-- A version that is older than the entry's content says nothing about it.
UPDATE partner_center_quarantine q
SET state = 'closed', settled_at = now()
FROM json_to_recordset(%(understood)s::json) AS u (referral_id text, ticks bigint)
WHERE q.state = 'open'
    AND q.referral_id = u.referral_id
    AND (q.updated_ticks IS NULL OR u.ticks IS NULL OR q.updated_ticks <= u.ticks)

-- name: settle
UPDATE partner_center_quarantine q
SET state = s.state, settled_at = now()
FROM json_to_recordset(%(settled)s::json) AS s (entry_id bigint, state text)
WHERE q.entry_id = s.entry_id AND q.state = 'open'

-- name: remove
DELETE FROM partner_center_quarantine WHERE entry_id = ANY(%(entry_ids)s)

-- name: give_reasons
UPDATE partner_center_quarantine q
SET reason = r.reason, field = r.field, detail = r.detail
FROM json_to_recordset(%(reasons)s::json) AS r (
    entry_id bigint, reason text, field text, detail text
)
WHERE q.entry_id = r.entry_id
    AND (q.reason, q.field, q.detail) IS DISTINCT FROM (r.reason, r.field, r.detail)

-- name: open
SELECT entry_id, raw_text
FROM partner_center_quarantine
WHERE state = 'open' AND entry_id > %(after_id)s
ORDER BY entry_id
LIMIT %(limit)s
