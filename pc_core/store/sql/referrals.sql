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
CREATE TEMPORARY TABLE partner_center_incoming ON COMMIT DROP AS
SELECT
    referral_id, engagement_id, external_reference_id, name, category, referral_type,
    classification_rule, type, qualification, direction, status, substatus, status_reason,
    company_name, domain, domain_source, raw_domain, customer_country, customer_city,
    customer_size, contacts, team, deal_value, currency, closing_at, expires_at, accepted_at,
    closed_at, pc_created_at, pc_updated_at, pc_updated_ticks, etag, content_hash, raw_data,
    organization_id, registration_status, sales_stage, search_words, company_sort
FROM partner_center_referrals
WITH NO DATA

-- name: drop_older
-- Only where a row that was to be inserted turns out to be stored already: what was planned
-- without knowing it must not replace newer content.
DELETE FROM partner_center_incoming n
USING partner_center_referrals o
WHERE o.referral_id = n.referral_id AND o.pc_updated_ticks > n.pc_updated_ticks

-- name: note_changes
WITH difference AS MATERIALIZED (
    SELECT o.referral_id, d.place, d.field, d.before, d.after
    FROM partner_center_incoming n
    JOIN partner_center_referrals o ON o.referral_id = n.referral_id
    CROSS JOIN LATERAL (
        VALUES
            (1, 'engagement_id', to_jsonb(o.engagement_id), to_jsonb(n.engagement_id)),
            (2, 'external_reference_id', to_jsonb(o.external_reference_id), to_jsonb(n.external_reference_id)),
            (3, 'name', to_jsonb(o.name), to_jsonb(n.name)),
            (4, 'category', to_jsonb(o.category), to_jsonb(n.category)),
            (5, 'referral_type', to_jsonb(o.referral_type), to_jsonb(n.referral_type)),
            (6, 'type', to_jsonb(o.type), to_jsonb(n.type)),
            (7, 'qualification', to_jsonb(o.qualification), to_jsonb(n.qualification)),
            (8, 'direction', to_jsonb(o.direction), to_jsonb(n.direction)),
            (9, 'status', to_jsonb(o.status), to_jsonb(n.status)),
            (10, 'substatus', to_jsonb(o.substatus), to_jsonb(n.substatus)),
            (11, 'status_reason', to_jsonb(o.status_reason), to_jsonb(n.status_reason)),
            (12, 'company_name', to_jsonb(o.company_name), to_jsonb(n.company_name)),
            (13, 'domain', to_jsonb(o.domain), to_jsonb(n.domain)),
            (14, 'domain_source', to_jsonb(o.domain_source), to_jsonb(n.domain_source)),
            (15, 'customer_country', to_jsonb(o.customer_country), to_jsonb(n.customer_country)),
            (16, 'customer_city', to_jsonb(o.customer_city), to_jsonb(n.customer_city)),
            (17, 'customer_size', to_jsonb(o.customer_size), to_jsonb(n.customer_size)),
            (18, 'contacts', to_jsonb(o.contacts), to_jsonb(n.contacts)),
            (19, 'team', to_jsonb(o.team), to_jsonb(n.team)),
            (20, 'deal_value', to_jsonb(o.deal_value), to_jsonb(n.deal_value)),
            (21, 'currency', to_jsonb(o.currency), to_jsonb(n.currency)),
            (22, 'closing_at', to_jsonb(o.closing_at), to_jsonb(n.closing_at)),
            (23, 'expires_at', to_jsonb(o.expires_at), to_jsonb(n.expires_at)),
            (24, 'accepted_at', to_jsonb(o.accepted_at), to_jsonb(n.accepted_at)),
            (25, 'closed_at', to_jsonb(o.closed_at), to_jsonb(n.closed_at)),
            (26, 'organization_id', to_jsonb(o.organization_id), to_jsonb(n.organization_id)),
            (27, 'registration_status', to_jsonb(o.registration_status), to_jsonb(n.registration_status)),
            (28, 'sales_stage', to_jsonb(o.sales_stage), to_jsonb(n.sales_stage))
    ) AS d (place, field, before, after)
    WHERE d.before IS DISTINCT FROM d.after
)
INSERT INTO partner_center_referral_changes
    (referral_id, task_id, changed_at, field, before, after)
SELECT c.referral_id, %(task_id)s, now(), c.field, c.before, c.after
FROM (
    SELECT referral_id, place, field, before, after FROM difference
    UNION ALL
    -- Nothing that has a column: the top-level keys that differ.
    SELECT o.referral_id, 0, 'raw_data',
        (
            SELECT jsonb_object_agg(k.key, k.value)
            FROM jsonb_each(o.raw_data) k
            WHERE k.value IS DISTINCT FROM n.raw_data -> k.key AND k.key <> 'links'
        ),
        (
            SELECT jsonb_object_agg(k.key, k.value)
            FROM jsonb_each(n.raw_data) k
            WHERE k.value IS DISTINCT FROM o.raw_data -> k.key AND k.key <> 'links'
        )
    FROM partner_center_incoming n
    JOIN partner_center_referrals o ON o.referral_id = n.referral_id
    WHERE o.raw_data <> n.raw_data
        AND o.content_hash <> n.content_hash
        AND n.referral_id NOT IN (SELECT referral_id FROM difference)
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
