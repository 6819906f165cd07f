-- name: key
SELECT erasure_key FROM partner_center_sync_state

-- name: ids_of_domain
SELECT referral_id FROM partner_center_referrals WHERE domain = %(domain)s ORDER BY referral_id

-- name: unreadable
SELECT entry_id, raw_text
FROM partner_center_quarantine
WHERE referral_id IS NULL AND entry_id > %(after_id)s
ORDER BY entry_id
LIMIT 100

-- name: count
SELECT
    (SELECT count(*) FROM partner_center_referrals WHERE referral_id = ANY(%(ids)s)),
    (SELECT count(*) FROM partner_center_referral_changes WHERE referral_id = ANY(%(ids)s)),
    (
        SELECT count(*)
        FROM partner_center_quarantine
        WHERE referral_id = ANY(%(ids)s) OR entry_id = ANY(%(unreadable)s)
    ),
    (
        SELECT count(*)
        FROM partner_center_quarantine
        WHERE (referral_id IS NULL OR referral_id <> ALL(%(ids)s))
            AND entry_id <> ALL(%(unreadable)s)
            AND (
                position(%(domain)s IN lower(raw_text)) > 0
                OR EXISTS (
                    SELECT FROM unnest(%(ids)s::text[]) AS erased (id)
                    WHERE position(lower(erased.id) IN lower(raw_text)) > 0
                )
            )
    )

-- name: erase_changes
DELETE FROM partner_center_referral_changes WHERE referral_id = ANY(%(ids)s)

-- name: erase_quarantine
DELETE FROM partner_center_quarantine
WHERE referral_id = ANY(%(ids)s) OR entry_id = ANY(%(unreadable)s)

-- name: erase_seen
DELETE FROM partner_center_sweep_seen WHERE referral_id = ANY(%(ids)s)

-- name: erase_referrals
DELETE FROM partner_center_referrals WHERE referral_id = ANY(%(ids)s)

-- name: bury
INSERT INTO partner_center_tombstones (kind, digest)
SELECT t.kind, decode(t.digest, 'hex')
FROM json_to_recordset(%(tombstones)s::json) AS t (kind text, digest text)
ON CONFLICT DO NOTHING
RETURNING 1
