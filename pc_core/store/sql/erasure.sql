-- name: key
SELECT erasure_key FROM partner_center_sync_state

-- name: ids_of_domain
SELECT referral_id FROM partner_center_referrals WHERE domain = %(domain)s ORDER BY referral_id

-- name: count
SELECT
    (SELECT count(*) FROM partner_center_referrals WHERE referral_id = ANY(%(ids)s)),
    (SELECT count(*) FROM partner_center_referral_changes WHERE referral_id = ANY(%(ids)s)),
    (SELECT count(*) FROM partner_center_quarantine WHERE referral_id = ANY(%(ids)s)),
    (
        SELECT count(*)
        FROM partner_center_quarantine
        WHERE position(%(domain)s IN lower(raw_text)) > 0
            AND (referral_id IS NULL OR referral_id <> ALL(%(ids)s))
    )

-- name: erase_changes
DELETE FROM partner_center_referral_changes WHERE referral_id = ANY(%(ids)s)

-- name: erase_quarantine
DELETE FROM partner_center_quarantine WHERE referral_id = ANY(%(ids)s)

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
