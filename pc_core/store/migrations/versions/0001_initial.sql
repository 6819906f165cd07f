-- 0001_initial.sql
-- Why: the tables, views and indexes of the first release.
-- Safe beside the previous release: there is none.
-- Undo: drop what this file creates; nothing else is touched.

-- Referrals ------------------------------------------------------------------------------------

CREATE TABLE partner_center_referrals (
    referral_id text COLLATE "C" NOT NULL,
    engagement_id text,
    external_reference_id text,
    organization_id text,
    name text,
    category text,
    referral_type text,
    classification_rule text,
    type text,
    qualification text,
    direction text,
    status text,
    substatus text,
    status_reason text,
    registration_status text,
    sales_stage text,
    company_name text,
    domain text,
    domain_source text,
    raw_domain text,
    customer_country text,
    customer_city text,
    customer_size text,
    contacts jsonb NOT NULL DEFAULT '[]',
    team jsonb NOT NULL DEFAULT '[]',
    deal_value numeric,
    currency text,
    closing_at timestamptz,
    expires_at timestamptz,
    accepted_at timestamptz,
    closed_at timestamptz,
    pc_created_at timestamptz,
    pc_updated_at timestamptz,
    pc_updated_ticks bigint,
    etag text,
    content_hash bytea NOT NULL,
    raw_data jsonb NOT NULL,
    search_words tsvector NOT NULL DEFAULT '',
    company_sort text COLLATE "C",
    synced_at timestamptz NOT NULL DEFAULT now(),
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    missing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    is_partner_center_referral boolean NOT NULL GENERATED ALWAYS AS (true) STORED,
    referral_status text GENERATED ALWAYS AS (lower(status)) STORED,
    CONSTRAINT partner_center_referrals_pkey PRIMARY KEY (referral_id),
    CONSTRAINT partner_center_referrals_referral_type_check
        CHECK (referral_type IN ('co-sell', 'marketplace', 'solution-provider'))
);

COMMENT ON TABLE partner_center_referrals IS
    'Microsoft Partner Center referrals, one row per referral, written by the sync alone. Rows are '
    'never deleted because they stopped appearing (see missing_since); only an erasure removes one.';
COMMENT ON COLUMN partner_center_referrals.referral_id IS
    'Partner Center''s id (lower-case GUID). Join on this.';
COMMENT ON COLUMN partner_center_referrals.engagement_id IS
    'The deal that this referral belongs to; several referrals may share one.';
COMMENT ON COLUMN partner_center_referrals.external_reference_id IS
    'The partner''s own reference, as entered in Partner Center.';
COMMENT ON COLUMN partner_center_referrals.organization_id IS
    'The partner''s own organization in Partner Center.';
COMMENT ON COLUMN partner_center_referrals.category IS
    'Microsoft''s category: marketplace_lead, qualified_lead, co_sell_opportunity or unknown.';
COMMENT ON COLUMN partner_center_referrals.referral_type IS
    'Hunter''s name for it: co-sell, marketplace, solution-provider; NULL: none of these.';
COMMENT ON COLUMN partner_center_referrals.classification_rule IS
    'Which rule decided category and referral_type.';
COMMENT ON COLUMN partner_center_referrals.type IS
    'Partner Center''s type: Independent or Shared. For the kind of lead see referral_type.';
COMMENT ON COLUMN partner_center_referrals.status IS
    'New, Active or Closed, in Partner Center''s spelling; other values are kept as they came.';
COMMENT ON COLUMN partner_center_referrals.substatus IS
    'Pending, Received, Accepted, Won, Lost, Declined, Expired; others are kept as they came.';
COMMENT ON COLUMN partner_center_referrals.domain IS
    'The customer''s registrable domain, lower-case ASCII (xn-- for IDN); NULL: none was found. '
    'Never a consumer mail provider and never the partner''s own domain.';
COMMENT ON COLUMN partner_center_referrals.domain_source IS 'Which rule found the domain.';
COMMENT ON COLUMN partner_center_referrals.raw_domain IS
    'The host that the domain was taken from, as far as it was kept.';
COMMENT ON COLUMN partner_center_referrals.customer_country IS
    'Country as Partner Center says it, upper-case; usually two letters.';
COMMENT ON COLUMN partner_center_referrals.contacts IS
    'The customer''s people, as Partner Center sends them. Personal data.';
COMMENT ON COLUMN partner_center_referrals.team IS
    'The partner''s people on the referral, as Partner Center sends them. Personal data.';
COMMENT ON COLUMN partner_center_referrals.deal_value IS
    'Estimated value in the unit of `currency`; NULL: not given, 0: given as zero.';
COMMENT ON COLUMN partner_center_referrals.closing_at IS 'Estimated closing date.';
COMMENT ON COLUMN partner_center_referrals.expires_at IS
    'When an unanswered referral expires in Partner Center.';
COMMENT ON COLUMN partner_center_referrals.pc_created_at IS 'Created, as Partner Center says.';
COMMENT ON COLUMN partner_center_referrals.pc_updated_at IS 'Changed, as Partner Center says.';
COMMENT ON COLUMN partner_center_referrals.pc_updated_ticks IS
    'pc_updated_at in 100 ns since 1970 with all digits, capped by when it was fetched. Internal.';
COMMENT ON COLUMN partner_center_referrals.etag IS 'Partner Center''s eTag, needed to write back.';
COMMENT ON COLUMN partner_center_referrals.content_hash IS
    'Hash of the content without links and key order. Internal.';
COMMENT ON COLUMN partner_center_referrals.raw_data IS
    'The whole referral as Partner Center sent it. Personal data.';
COMMENT ON COLUMN partner_center_referrals.search_words IS
    'What the search looks through: the words of names, domain, city and ids, folded. Internal.';
COMMENT ON COLUMN partner_center_referrals.company_sort IS
    'company_name folded for sorting. Internal.';
COMMENT ON COLUMN partner_center_referrals.synced_at IS 'When a sync last wrote this row.';
COMMENT ON COLUMN partner_center_referrals.first_seen_at IS
    'When the referral was first fetched.';
COMMENT ON COLUMN partner_center_referrals.missing_since IS
    'Since when Partner Center answers 404 for it; NULL: present. It may reappear.';
COMMENT ON COLUMN partner_center_referrals.created_at IS 'When this row was inserted.';
COMMENT ON COLUMN partner_center_referrals.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN partner_center_referrals.is_partner_center_referral IS
    'Always true: tells these leads from others where tables are joined or pushed to a CRM.';
COMMENT ON COLUMN partner_center_referrals.referral_status IS
    'status in lower case (new, active, closed): what is pushed to a CRM.';

-- lz4 needs a server built with it; without it the default compression does.
DO $$
BEGIN
    ALTER TABLE partner_center_referrals
        ALTER COLUMN raw_data SET COMPRESSION lz4,
        ALTER COLUMN contacts SET COMPRESSION lz4,
        ALTER COLUMN team SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR syntax_error OR invalid_parameter_value THEN
    NULL;
END
$$;

-- Each sort needs one index for both directions: the reader walks it forwards or backwards and
-- asks for the rows without a value separately.
CREATE INDEX partner_center_referrals_updated_idx
    ON partner_center_referrals (pc_updated_at, referral_id);
CREATE INDEX partner_center_referrals_created_idx
    ON partner_center_referrals (pc_created_at, referral_id);
CREATE INDEX partner_center_referrals_expires_idx
    ON partner_center_referrals (expires_at, referral_id);
CREATE INDEX partner_center_referrals_company_idx
    ON partner_center_referrals (company_sort, referral_id);
CREATE INDEX partner_center_referrals_deal_value_idx
    ON partner_center_referrals (deal_value, referral_id);
CREATE INDEX partner_center_referrals_synced_idx
    ON partner_center_referrals (synced_at, referral_id);
-- What is open is asked for most, and lies together at one end of each date.
CREATE INDEX partner_center_referrals_open_updated_idx
    ON partner_center_referrals (pc_updated_at, referral_id) WHERE status IN ('New', 'Active');
CREATE INDEX partner_center_referrals_open_created_idx
    ON partner_center_referrals (pc_created_at, referral_id) WHERE status IN ('New', 'Active');
CREATE INDEX partner_center_referrals_open_expires_idx
    ON partner_center_referrals (expires_at, referral_id) WHERE status IN ('New', 'Active');
-- Few values each, so that a million rows take a few megabytes: any combination is counted in the
-- index alone.
CREATE INDEX partner_center_referrals_facets_idx ON partner_center_referrals
    (status, substatus, referral_type, direction, customer_country, missing_since);
CREATE INDEX partner_center_referrals_country_idx
    ON partner_center_referrals (customer_country);
CREATE INDEX partner_center_referrals_domain_idx
    ON partner_center_referrals (domain, pc_updated_at DESC NULLS LAST, referral_id);
CREATE INDEX partner_center_referrals_missing_idx
    ON partner_center_referrals (missing_since) WHERE missing_since IS NOT NULL;
-- Search by the beginnings of words, without an extension.
CREATE INDEX partner_center_referrals_search_idx
    ON partner_center_referrals USING gin (search_words);
-- Status and sub-status go together; without this the planner multiplies their shares.
CREATE STATISTICS partner_center_referrals_facets (dependencies, mcv)
    ON status, substatus, referral_type, direction FROM partner_center_referrals;

-- History --------------------------------------------------------------------------------------

CREATE TABLE partner_center_referral_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    referral_id text COLLATE "C" NOT NULL,
    task_id text NOT NULL,
    changed_at timestamptz NOT NULL,
    field text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX partner_center_referral_changes_referral_idx
    ON partner_center_referral_changes (referral_id, change_id);
CREATE INDEX partner_center_referral_changes_changed_idx
    ON partner_center_referral_changes USING brin (changed_at);

COMMENT ON TABLE partner_center_referral_changes IS
    'What changed in stored referrals, one row per field and write; kept for HUNTER_RETENTION_DAYS.';
COMMENT ON COLUMN partner_center_referral_changes.task_id IS
    'The run that wrote it (partner_center_sync_runs).';
COMMENT ON COLUMN partner_center_referral_changes.changed_at IS
    'When it was written here; when it happened in Partner Center is pc_updated_at of the row.';
COMMENT ON COLUMN partner_center_referral_changes.field IS
    'Column of partner_center_referrals. raw_data: nothing that has a column changed; before and '
    'after then hold the differing top-level keys alone.';

-- Quarantine -----------------------------------------------------------------------------------

CREATE TABLE partner_center_quarantine (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    referral_id text COLLATE "C",
    content_hash bytea NOT NULL,
    reason text NOT NULL,
    field text,
    detail text NOT NULL,
    raw_text text NOT NULL,
    updated_ticks bigint,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'replayed', 'superseded', 'closed')),
    task_id text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    settled_at timestamptz
);
CREATE UNIQUE INDEX partner_center_quarantine_content_idx
    ON partner_center_quarantine (coalesce(referral_id, ''), content_hash);
CREATE INDEX partner_center_quarantine_open_idx
    ON partner_center_quarantine (entry_id) WHERE state = 'open';
CREATE INDEX partner_center_quarantine_open_referral_idx
    ON partner_center_quarantine (referral_id) WHERE state = 'open';
CREATE INDEX partner_center_quarantine_settled_idx
    ON partner_center_quarantine (settled_at) WHERE state <> 'open';

COMMENT ON TABLE partner_center_quarantine IS
    'What Partner Center sent and could not be stored, once per referral and content.';
COMMENT ON COLUMN partner_center_quarantine.referral_id IS 'NULL: no id could be read.';
COMMENT ON COLUMN partner_center_quarantine.raw_text IS
    'What was sent, escaped where a text column could not hold it. Personal data.';
COMMENT ON COLUMN partner_center_quarantine.state IS
    'open; closed: a later version was understood; replayed: understood after a fix; superseded: '
    'older than what is stored.';

-- Runs -----------------------------------------------------------------------------------------

CREATE TABLE partner_center_sync_runs (
    task_id text PRIMARY KEY,
    trigger text NOT NULL,
    mode text NOT NULL,
    state text NOT NULL,
    invocation_id text,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    head_completed_at timestamptz,
    sweep_completed_at timestamptz,
    watermark_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    failure jsonb,
    fetched bigint GENERATED ALWAYS AS ((counts ->> 'fetched')::bigint) STORED,
    inserted bigint GENERATED ALWAYS AS ((counts ->> 'inserted')::bigint) STORED,
    updated bigint GENERATED ALWAYS AS ((counts ->> 'updated')::bigint) STORED,
    unchanged bigint GENERATED ALWAYS AS ((counts ->> 'unchanged')::bigint) STORED,
    skipped bigint GENERATED ALWAYS AS ((counts ->> 'skipped')::bigint) STORED,
    quarantined bigint GENERATED ALWAYS AS ((counts ->> 'quarantined')::bigint) STORED,
    drift bigint GENERATED ALWAYS AS ((counts ->> 'drift')::bigint) STORED,
    failure_code text GENERATED ALWAYS AS (failure ->> 'code') STORED
) WITH (fillfactor = 50);
CREATE INDEX partner_center_sync_runs_started_idx
    ON partner_center_sync_runs (started_at, task_id);
CREATE INDEX partner_center_sync_runs_running_idx
    ON partner_center_sync_runs (task_id) WHERE state = 'running';

COMMENT ON TABLE partner_center_sync_runs IS
    'One row per sync run, kept for HUNTER_RETENTION_DAYS; a running one shows its progress.';
COMMENT ON COLUMN partner_center_sync_runs.task_id IS 'What the sync''s answer calls task_id.';
COMMENT ON COLUMN partner_center_sync_runs.state IS
    'running, completed, partial (its time ended, the next goes on), failed or interrupted.';
COMMENT ON COLUMN partner_center_sync_runs.heartbeat_at IS 'Its last sign of life.';
COMMENT ON COLUMN partner_center_sync_runs.finished_at IS
    'When it ended; of an interrupted run its last sign of life.';
COMMENT ON COLUMN partner_center_sync_runs.head_completed_at IS
    'When everything new had been read: success. NULL: it was not.';
COMMENT ON COLUMN partner_center_sync_runs.sweep_completed_at IS
    'When this run ended a sweep over all referrals; NULL: it did not.';
COMMENT ON COLUMN partner_center_sync_runs.counts IS
    'All counts; the main ones are columns too.';
COMMENT ON COLUMN partner_center_sync_runs.failure IS
    'Why it failed: kind, code, message, retry_after_s.';

-- State ----------------------------------------------------------------------------------------

CREATE TABLE partner_center_sync_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    watermark_ticks bigint,
    order_verdict text NOT NULL DEFAULT 'unproven',
    order_checked_at timestamptz,
    order_refuted_at timestamptz,
    top_caps_at timestamptz,
    head json,
    sweep json,
    shrank_at timestamptz,
    shrank_unseen bigint,
    shrank_present bigint,
    recompute_after text,
    fingerprint json,
    organization_id text,
    tenant_id text,
    last_success_at timestamptz,
    last_sweep_at timestamptz,
    sign_in json,
    lease_fence bigint NOT NULL DEFAULT 0,
    lease_task_id text,
    lease_holder text,
    lease_ttl interval,
    lease_heartbeat_at timestamptz,
    lease_expires_at timestamptz,
    erasure_key bytea NOT NULL
) WITH (fillfactor = 10);

COMMENT ON TABLE partner_center_sync_state IS
    'The single row that one run leaves to the next: watermark, places to resume, sign-in state, '
    'lease, and the key of the tombstones. Not for other systems.';
COMMENT ON COLUMN partner_center_sync_state.lease_fence IS
    'Grows with every holder; a run whose number is no longer here writes nothing.';
COMMENT ON COLUMN partner_center_sync_state.erasure_key IS
    'Random key of the tombstones'' digests; whoever has it can test who was erased.';

-- gen_random_uuid draws from the server's strong random source: 2 × 122 bits.
INSERT INTO partner_center_sync_state (erasure_key)
VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

CREATE TABLE partner_center_sweep_seen (
    walk text COLLATE "C" NOT NULL,
    referral_id text COLLATE "C" NOT NULL,
    gone boolean NOT NULL DEFAULT false,
    PRIMARY KEY (walk, referral_id)
);
COMMENT ON TABLE partner_center_sweep_seen IS
    'Ids that an unfinished walk has met; gone: not met, and 404 when asked for. Emptied at its end.';

CREATE TABLE partner_center_tombstones (
    kind text NOT NULL CHECK (kind IN ('referral_id', 'domain')),
    digest bytea NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, digest)
);
COMMENT ON TABLE partner_center_tombstones IS
    'Keyed hashes of erased customers, so that a sweep does not bring them back.';

-- Views for others -----------------------------------------------------------------------------

-- One row per domain by way of its newest referral, not by grouping: so a part of the view is read
-- without computing all of it.
CREATE VIEW partner_center_companies AS
SELECT
    n.domain,
    c.company_name,
    c.referral_count,
    c.co_sell_count,
    c.marketplace_count,
    c.solution_provider_count,
    c.other_count,
    c.open_count,
    coalesce(
        (
            SELECT jsonb_object_agg(v.currency, v.value ORDER BY v.currency)
            FROM (
                SELECT coalesce(o.currency, '') AS currency, sum(o.deal_value) AS value
                FROM partner_center_referrals o
                WHERE o.domain = n.domain
                    AND o.status IN ('New', 'Active')
                    AND o.missing_since IS NULL
                    AND o.deal_value IS NOT NULL
                GROUP BY 1
            ) v
        ),
        '{}'
    ) AS open_value,
    n.referral_id AS newest_referral_id,
    c.newest_created_at,
    c.newest_updated_at,
    c.first_seen_at
FROM partner_center_referrals n
CROSS JOIN LATERAL (
    SELECT
        (array_agg(r.company_name ORDER BY r.pc_updated_at DESC NULLS LAST, r.referral_id)
            FILTER (WHERE r.company_name IS NOT NULL))[1] AS company_name,
        count(*) AS referral_count,
        count(*) FILTER (WHERE r.referral_type = 'co-sell') AS co_sell_count,
        count(*) FILTER (WHERE r.referral_type = 'marketplace') AS marketplace_count,
        count(*) FILTER (WHERE r.referral_type = 'solution-provider') AS solution_provider_count,
        count(*) FILTER (WHERE r.referral_type IS NULL) AS other_count,
        count(*) FILTER (WHERE r.status IN ('New', 'Active') AND r.missing_since IS NULL)
            AS open_count,
        max(r.pc_created_at) AS newest_created_at,
        max(r.pc_updated_at) AS newest_updated_at,
        min(r.first_seen_at) AS first_seen_at
    FROM partner_center_referrals r
    WHERE r.domain = n.domain
) c
WHERE n.domain IS NOT NULL
    AND n.referral_id = (
        SELECT f.referral_id
        FROM partner_center_referrals f
        WHERE f.domain = n.domain
        ORDER BY f.pc_updated_at DESC NULLS LAST, f.referral_id
        LIMIT 1
    );

COMMENT ON VIEW partner_center_companies IS
    'One row per customer domain. Stable: columns are added, never renamed or removed.';
COMMENT ON COLUMN partner_center_companies.company_name IS
    'As in the referral that changed last.';
COMMENT ON COLUMN partner_center_companies.other_count IS 'Referrals without a referral_type.';
COMMENT ON COLUMN partner_center_companies.open_count IS
    'New or Active, and still present in Partner Center.';
COMMENT ON COLUMN partner_center_companies.open_value IS
    'Sum of deal_value of the open ones per currency, e.g. {"EUR": 1200, "USD": 50}; the empty key '
    'is for values without a currency.';
COMMENT ON COLUMN partner_center_companies.newest_referral_id IS
    'The referral that changed last in Partner Center.';

CREATE VIEW partner_center_open_referrals AS
SELECT
    r.referral_id,
    r.engagement_id,
    r.external_reference_id,
    r.name,
    r.category,
    r.referral_type,
    r.type,
    r.direction,
    r.status,
    r.substatus,
    r.company_name,
    r.domain,
    r.customer_country,
    r.customer_city,
    r.customer_size,
    r.deal_value,
    r.currency,
    r.closing_at,
    r.expires_at,
    floor(extract(epoch FROM r.expires_at - now()) / 86400)::integer AS days_to_expiry,
    r.accepted_at,
    r.pc_created_at,
    r.pc_updated_at,
    r.first_seen_at,
    r.synced_at,
    r.is_partner_center_referral,
    r.referral_status
FROM partner_center_referrals r
WHERE r.status IN ('New', 'Active') AND r.missing_since IS NULL;

COMMENT ON VIEW partner_center_open_referrals IS
    'Referrals that are New or Active and still present. Stable: columns are added, never renamed '
    'or removed.';
COMMENT ON COLUMN partner_center_open_referrals.days_to_expiry IS
    'Whole days left until expires_at: 0 on the last day, negative once it has passed, NULL without '
    'a date.';

-- Where the roles exist already, new tables came with the reader's default privileges.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_reader') THEN
        REVOKE ALL ON partner_center_sync_state, partner_center_tombstones
            FROM partner_center_reader;
    END IF;
END
$$;
