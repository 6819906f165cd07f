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
-- Packing the content here would be done for nothing: it is unpacked at once, to be compared.
CREATE TEMPORARY TABLE partner_center_incoming ON COMMIT DROP AS
SELECT
    referral_id, engagement_id, external_reference_id, name, category, referral_type,
    classification_rule, type, qualification, direction, status, substatus, status_reason,
    company_name, domain, domain_source, raw_domain, customer_country, customer_city,
    customer_size, contacts, team, deal_value, currency, closing_at, expires_at, accepted_at,
    closed_at, pc_created_at, pc_updated_at, pc_updated_ticks, etag, content_hash, raw_data,
    organization_id, registration_status, sales_stage, search_words, company_sort
FROM partner_center_referrals
WITH NO DATA;
ALTER TABLE partner_center_incoming ALTER COLUMN raw_data SET STORAGE EXTERNAL

-- name: drop_older
-- Only where a row that was to be inserted turns out to be stored already: what was planned
-- without knowing it must not replace newer content.
DELETE FROM partner_center_incoming n
USING partner_center_referrals o
WHERE o.referral_id = n.referral_id AND o.pc_updated_ticks > n.pc_updated_ticks

-- name: note_changes
-- Values become JSON only where they differ: of 28 columns hardly any does.
WITH difference AS MATERIALIZED (
    SELECT o.referral_id, d.place, d.field, d.pair[1] AS before, d.pair[2] AS after
    FROM partner_center_incoming n
    JOIN partner_center_referrals o ON o.referral_id = n.referral_id
    CROSS JOIN LATERAL (
        VALUES
            (1, 'engagement_id', CASE WHEN o.engagement_id IS DISTINCT FROM n.engagement_id THEN ARRAY[to_jsonb(o.engagement_id), to_jsonb(n.engagement_id)] END),
            (2, 'external_reference_id', CASE WHEN o.external_reference_id IS DISTINCT FROM n.external_reference_id THEN ARRAY[to_jsonb(o.external_reference_id), to_jsonb(n.external_reference_id)] END),
            (3, 'name', CASE WHEN o.name IS DISTINCT FROM n.name THEN ARRAY[to_jsonb(o.name), to_jsonb(n.name)] END),
            (4, 'category', CASE WHEN o.category IS DISTINCT FROM n.category THEN ARRAY[to_jsonb(o.category), to_jsonb(n.category)] END),
            (5, 'referral_type', CASE WHEN o.referral_type IS DISTINCT FROM n.referral_type THEN ARRAY[to_jsonb(o.referral_type), to_jsonb(n.referral_type)] END),
            (6, 'type', CASE WHEN o.type IS DISTINCT FROM n.type THEN ARRAY[to_jsonb(o.type), to_jsonb(n.type)] END),
            (7, 'qualification', CASE WHEN o.qualification IS DISTINCT FROM n.qualification THEN ARRAY[to_jsonb(o.qualification), to_jsonb(n.qualification)] END),
            (8, 'direction', CASE WHEN o.direction IS DISTINCT FROM n.direction THEN ARRAY[to_jsonb(o.direction), to_jsonb(n.direction)] END),
            (9, 'status', CASE WHEN o.status IS DISTINCT FROM n.status THEN ARRAY[to_jsonb(o.status), to_jsonb(n.status)] END),
            (10, 'substatus', CASE WHEN o.substatus IS DISTINCT FROM n.substatus THEN ARRAY[to_jsonb(o.substatus), to_jsonb(n.substatus)] END),
            (11, 'status_reason', CASE WHEN o.status_reason IS DISTINCT FROM n.status_reason THEN ARRAY[to_jsonb(o.status_reason), to_jsonb(n.status_reason)] END),
            (12, 'company_name', CASE WHEN o.company_name IS DISTINCT FROM n.company_name THEN ARRAY[to_jsonb(o.company_name), to_jsonb(n.company_name)] END),
            (13, 'domain', CASE WHEN o.domain IS DISTINCT FROM n.domain THEN ARRAY[to_jsonb(o.domain), to_jsonb(n.domain)] END),
            (14, 'domain_source', CASE WHEN o.domain_source IS DISTINCT FROM n.domain_source THEN ARRAY[to_jsonb(o.domain_source), to_jsonb(n.domain_source)] END),
            (15, 'customer_country', CASE WHEN o.customer_country IS DISTINCT FROM n.customer_country THEN ARRAY[to_jsonb(o.customer_country), to_jsonb(n.customer_country)] END),
            (16, 'customer_city', CASE WHEN o.customer_city IS DISTINCT FROM n.customer_city THEN ARRAY[to_jsonb(o.customer_city), to_jsonb(n.customer_city)] END),
            (17, 'customer_size', CASE WHEN o.customer_size IS DISTINCT FROM n.customer_size THEN ARRAY[to_jsonb(o.customer_size), to_jsonb(n.customer_size)] END),
            (18, 'contacts', CASE WHEN o.contacts IS DISTINCT FROM n.contacts THEN ARRAY[to_jsonb(o.contacts), to_jsonb(n.contacts)] END),
            (19, 'team', CASE WHEN o.team IS DISTINCT FROM n.team THEN ARRAY[to_jsonb(o.team), to_jsonb(n.team)] END),
            (20, 'deal_value', CASE WHEN o.deal_value IS DISTINCT FROM n.deal_value THEN ARRAY[to_jsonb(o.deal_value), to_jsonb(n.deal_value)] END),
            (21, 'currency', CASE WHEN o.currency IS DISTINCT FROM n.currency THEN ARRAY[to_jsonb(o.currency), to_jsonb(n.currency)] END),
            (22, 'closing_at', CASE WHEN o.closing_at IS DISTINCT FROM n.closing_at THEN ARRAY[to_jsonb(o.closing_at), to_jsonb(n.closing_at)] END),
            (23, 'expires_at', CASE WHEN o.expires_at IS DISTINCT FROM n.expires_at THEN ARRAY[to_jsonb(o.expires_at), to_jsonb(n.expires_at)] END),
            (24, 'accepted_at', CASE WHEN o.accepted_at IS DISTINCT FROM n.accepted_at THEN ARRAY[to_jsonb(o.accepted_at), to_jsonb(n.accepted_at)] END),
            (25, 'closed_at', CASE WHEN o.closed_at IS DISTINCT FROM n.closed_at THEN ARRAY[to_jsonb(o.closed_at), to_jsonb(n.closed_at)] END),
            (26, 'organization_id', CASE WHEN o.organization_id IS DISTINCT FROM n.organization_id THEN ARRAY[to_jsonb(o.organization_id), to_jsonb(n.organization_id)] END),
            (27, 'registration_status', CASE WHEN o.registration_status IS DISTINCT FROM n.registration_status THEN ARRAY[to_jsonb(o.registration_status), to_jsonb(n.registration_status)] END),
            (28, 'sales_stage', CASE WHEN o.sales_stage IS DISTINCT FROM n.sales_stage THEN ARRAY[to_jsonb(o.sales_stage), to_jsonb(n.sales_stage)] END)
    ) AS d (place, field, pair)
    WHERE d.pair IS NOT NULL
)
INSERT INTO partner_center_referral_changes
    (referral_id, task_id, changed_at, field, before, after)
SELECT c.referral_id, %(task_id)s, now(), c.field, c.before, c.after
FROM (
    SELECT referral_id, place, field, before, after FROM difference
    UNION ALL
    -- Nothing that has a column: the top-level keys that differ. Both sides are taken apart once;
    -- looking keys up one by one would unpack the whole content for each.
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
    engagement_id = n.engagement_id,
    external_reference_id = n.external_reference_id,
    name = n.name,
    category = n.category,
    referral_type = n.referral_type,
    classification_rule = n.classification_rule,
    type = n.type,
    qualification = n.qualification,
    direction = n.direction,
    status = n.status,
    substatus = n.substatus,
    status_reason = n.status_reason,
    company_name = n.company_name,
    domain = n.domain,
    domain_source = n.domain_source,
    raw_domain = n.raw_domain,
    customer_country = n.customer_country,
    customer_city = n.customer_city,
    customer_size = n.customer_size,
    contacts = n.contacts,
    team = n.team,
    deal_value = n.deal_value,
    currency = n.currency,
    closing_at = n.closing_at,
    expires_at = n.expires_at,
    accepted_at = n.accepted_at,
    closed_at = n.closed_at,
    pc_created_at = n.pc_created_at,
    pc_updated_at = n.pc_updated_at,
    pc_updated_ticks = n.pc_updated_ticks,
    etag = n.etag,
    content_hash = n.content_hash,
    raw_data = n.raw_data,
    organization_id = n.organization_id,
    registration_status = n.registration_status,
    sales_stage = n.sales_stage,
    search_words = n.search_words,
    company_sort = n.company_sort,
    synced_at = now(),
    updated_at = now()
FROM partner_center_incoming n
WHERE o.referral_id = n.referral_id
    AND (
        o.content_hash <> n.content_hash
        OR (
            o.engagement_id, o.external_reference_id, o.name, o.category, o.referral_type,
            o.classification_rule, o.type, o.qualification, o.direction, o.status, o.substatus,
            o.status_reason, o.company_name, o.domain, o.domain_source, o.raw_domain,
            o.customer_country, o.customer_city, o.customer_size, o.deal_value, o.currency,
            o.closing_at, o.expires_at, o.accepted_at, o.closed_at, o.organization_id,
            o.registration_status, o.sales_stage, o.search_words, o.company_sort,
            o.pc_updated_ticks
        ) IS DISTINCT FROM (
            n.engagement_id, n.external_reference_id, n.name, n.category, n.referral_type,
            n.classification_rule, n.type, n.qualification, n.direction, n.status, n.substatus,
            n.status_reason, n.company_name, n.domain, n.domain_source, n.raw_domain,
            n.customer_country, n.customer_city, n.customer_size, n.deal_value, n.currency,
            n.closing_at, n.expires_at, n.accepted_at, n.closed_at, n.organization_id,
            n.registration_status, n.sales_stage, n.search_words, n.company_sort,
            n.pc_updated_ticks
        )
    )

-- name: insert
INSERT INTO partner_center_referrals (
    referral_id, engagement_id, external_reference_id, name, category, referral_type,
    classification_rule, type, qualification, direction, status, substatus, status_reason,
    company_name, domain, domain_source, raw_domain, customer_country, customer_city,
    customer_size, contacts, team, deal_value, currency, closing_at, expires_at, accepted_at,
    closed_at, pc_created_at, pc_updated_at, pc_updated_ticks, etag, content_hash, raw_data,
    organization_id, registration_status, sales_stage, search_words, company_sort,
    first_seen_at
)
SELECT
    n.referral_id, n.engagement_id, n.external_reference_id, n.name, n.category,
    n.referral_type, n.classification_rule, n.type, n.qualification, n.direction, n.status,
    n.substatus, n.status_reason, n.company_name, n.domain, n.domain_source, n.raw_domain,
    n.customer_country, n.customer_city, n.customer_size, n.contacts, n.team, n.deal_value,
    n.currency, n.closing_at, n.expires_at, n.accepted_at, n.closed_at, n.pc_created_at,
    n.pc_updated_at, n.pc_updated_ticks, n.etag, n.content_hash, n.raw_data, n.organization_id,
    n.registration_status, n.sales_stage, n.search_words, n.company_sort, %(fetched_at)s
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
