-- 0003_created_by_type.sql
-- Why: referrals by week of creation and type are counted in the index alone; reading a million
-- rows for it took seconds after every run.
-- Safe beside the previous release: an index takes the place of one with the same key, and no
-- statement names it.
-- Undo: create partner_center_referrals_created_idx as in 0001, then drop this one.

CREATE INDEX partner_center_referrals_created_type_idx
    ON partner_center_referrals (pc_created_at, referral_id) INCLUDE (referral_type);
DROP INDEX partner_center_referrals_created_idx;
