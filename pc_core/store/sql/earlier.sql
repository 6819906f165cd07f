-- The earlier system's table, in any of its versions, and the rows taken over from it.

-- name: columns
SELECT array_agg(attname::text)
FROM pg_attribute
WHERE attrelid = to_regclass('partner_center_referrals') AND attnum > 0 AND NOT attisdropped;

-- name: rows
SELECT t.referral_id, t.raw_data::text, (to_jsonb(t) - 'raw_data')::text, t.created_at
FROM partner_center_referrals t
WHERE t.referral_id COLLATE "C" > %(after)s COLLATE "C"
ORDER BY t.referral_id COLLATE "C"
LIMIT %(limit)s;

-- name: note_first_seen
UPDATE partner_center_referrals r
SET first_seen_at = e.seen_at
FROM jsonb_to_recordset(%(seen)s::jsonb) AS e (referral_id text, seen_at timestamptz)
WHERE r.referral_id = e.referral_id AND e.seen_at < r.first_seen_at;
