-- 0002_attention.sql
-- Why: what needs a person is asked for with every visit of the page and must not read the table.
-- Safe beside the previous release: it adds indexes alone, each over a small share of the rows.
-- Undo: drop the indexes that this file creates.

CREATE INDEX partner_center_referrals_no_domain_idx
    ON partner_center_referrals (pc_updated_at, referral_id)
    WHERE domain IS NULL AND status IN ('New', 'Active') AND missing_since IS NULL;
-- What Microsoft asks for with a co-sell deal.
CREATE INDEX partner_center_referrals_incomplete_idx
    ON partner_center_referrals (pc_updated_at, referral_id)
    WHERE referral_type = 'co-sell' AND status IN ('New', 'Active') AND missing_since IS NULL
        AND (deal_value IS NULL OR currency IS NULL OR closing_at IS NULL
            OR company_name IS NULL OR customer_country IS NULL);
-- Deal registration may be rejected where a deal was won within 72 hours of its creation.
CREATE INDEX partner_center_referrals_won_early_idx
    ON partner_center_referrals (closed_at, referral_id)
    WHERE referral_type = 'co-sell' AND substatus = 'Won'
        AND closed_at - pc_created_at < interval '72 hours';
