-- name: stored
SELECT r.referral_id, r.content_hash, r.pc_updated_ticks, r.missing_since IS NOT NULL,
    r.domain IS NOT NULL
FROM partner_center_referrals r
WHERE r.referral_id = ANY(ARRAY(SELECT json_array_elements_text(%(ids)s::json)))

-- name: after
SELECT referral_id, convert_to(raw_data::text, 'UTF8')
FROM partner_center_referrals
WHERE referral_id > %(after)s
ORDER BY referral_id
LIMIT %(limit)s

-- name: incoming
-- raw_data is not compressed here: the next statements read it at once, to compare it.
CREATE TEMPORARY TABLE partner_center_incoming ON COMMIT DROP AS
SELECT {columns}
FROM partner_center_referrals
WITH NO DATA;
ALTER TABLE partner_center_incoming ALTER COLUMN raw_data SET STORAGE EXTERNAL

-- name: drop_older
-- Only used when a row that was to be inserted is stored already. The plan did not know the stored
-- row, and must not replace newer content.
DELETE FROM partner_center_incoming n
USING partner_center_referrals o
WHERE o.referral_id = n.referral_id AND o.pc_updated_ticks > n.pc_updated_ticks

-- name: note_changes
-- Values become JSON only where they differ: hardly any column does.
WITH difference AS MATERIALIZED (
    SELECT o.referral_id, d.place, d.field, d.pair[1] AS before, d.pair[2] AS after
    FROM partner_center_incoming n
    JOIN partner_center_referrals o ON o.referral_id = n.referral_id
    CROSS JOIN LATERAL (
        VALUES {changes}
    ) AS d (place, field, pair)
    WHERE d.pair IS NOT NULL
)
INSERT INTO partner_center_referral_changes
    (referral_id, task_id, changed_at, field, before, after)
SELECT c.referral_id, %(task_id)s, now(), c.field, c.before, c.after
FROM (
    SELECT referral_id, place, field, before, after FROM difference
    UNION ALL
    -- No column differs: the top-level keys that do. Each side is expanded once; looking keys up
    -- one by one would decompress the whole content for each key.
    SELECT o.referral_id, 0, 'raw_data', raw.before, raw.after
    FROM partner_center_incoming n
    JOIN partner_center_referrals o ON o.referral_id = n.referral_id
    CROSS JOIN LATERAL (
        SELECT
            jsonb_object_agg(key, b.value) FILTER (WHERE b.value IS NOT NULL) AS before,
            jsonb_object_agg(key, a.value) FILTER (WHERE a.value IS NOT NULL) AS after
        FROM jsonb_each(o.raw_data) b
        FULL JOIN jsonb_each(n.raw_data) a USING (key)
        WHERE b.value IS DISTINCT FROM a.value AND key <> 'links'
    ) raw
    WHERE o.content_hash <> n.content_hash
        AND n.referral_id NOT IN (SELECT referral_id FROM difference)
        AND num_nonnulls(raw.before, raw.after) > 0
) c
ORDER BY c.referral_id, c.place

-- name: update
-- A row is written if its content or anything derived from it differs.
UPDATE partner_center_referrals o
SET
    {assignments},
    synced_at = now(),
    updated_at = now()
FROM partner_center_incoming n
WHERE o.referral_id = n.referral_id
    AND (
        o.content_hash <> n.content_hash
        OR ({compared_stored}) IS DISTINCT FROM ({compared_incoming})
    )

-- name: insert
INSERT INTO partner_center_referrals ({columns}, first_seen_at)
SELECT {incoming}, %(fetched_at)s
FROM partner_center_incoming n
WHERE NOT EXISTS (
    SELECT FROM partner_center_referrals o WHERE o.referral_id = n.referral_id
)

-- name: reappear
WITH back AS (
    UPDATE partner_center_referrals r
    SET missing_since = NULL, synced_at = now(), updated_at = now()
    FROM (
        SELECT o.referral_id, o.missing_since
        FROM partner_center_referrals o
        WHERE o.referral_id = ANY(ARRAY(SELECT json_array_elements_text(%(ids)s::json)))
            AND o.missing_since IS NOT NULL
    ) b
    WHERE r.referral_id = b.referral_id
    RETURNING r.referral_id, b.missing_since
)
INSERT INTO partner_center_referral_changes (referral_id, task_id, changed_at, field, before)
SELECT referral_id, %(task_id)s, now(), 'missing_since', to_jsonb(missing_since)
FROM back
