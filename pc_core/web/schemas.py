"""The named schemas of the OpenAPI description (JSON Schema 2020-12)."""

from __future__ import annotations

from pc_core.sync.report import Counts
from pc_core.web.describe import (
    ANY,
    COUNT,
    COUNTS_BY_NAME,
    FLAG,
    INSTANT,
    INSTANT_OR_NULL,
    INTEGER_OR_NULL,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    either,
    list_of,
    may_have,
    members,
    reference,
)

_RUN_STATES = (
    "running",
    "completed",
    "partial",
    "failed",
    "interrupted",
    "already_running",
    "feature_disabled",
)
_SIGN_IN_STATES = (
    "ok",
    "sign_in_needed",
    "admin_consent_needed",
    "blocked_by_policy",
    "misconfigured",
    "account_problem",
    "transient",
)

_counts: dict[str, Schema] = {
    name: COUNTS_BY_NAME if name in ("skipped_reasons", "unknown_values") else COUNT
    for name in Counts.__dataclass_fields__
}

_run = members(
    success=FLAG,
    task_id=TEXT,
    state={"enum": list(_RUN_STATES)},
    trigger=TEXT,
    mode=TEXT,
    invocation_id=TEXT_OR_NULL,
    started_at=INSTANT,
    finished_at=INSTANT_OR_NULL,
    duration_s=NUMBER_OR_NULL,
    head_completed_at=INSTANT_OR_NULL,
    sweep_completed_at=INSTANT_OR_NULL,
    watermark_at=INSTANT_OR_NULL,
    success_count=COUNT,
    skipped_count=COUNT,
    failure_count=COUNT,
    error=either(
        members(kind=TEXT, code=TEXT, message=TEXT, retry_after_s=NUMBER_OR_NULL),
    ),
    **_counts,
)

_problem = may_have(
    members(
        type=TEXT,
        title=TEXT,
        status={"type": "integer"},
        detail=TEXT,
        code=TEXT,
        success={"const": False},
    ),
    parameter=TEXT,
    login_url=TEXT,
)

_referral: dict[str, Schema] = {
    "referral_id": TEXT,
    "engagement_id": TEXT_OR_NULL,
    "external_reference_id": TEXT_OR_NULL,
    "name": TEXT_OR_NULL,
    "category": TEXT_OR_NULL,
    "referral_type": {"enum": ["co-sell", "marketplace", "solution-provider", None]},
    "classification_rule": TEXT_OR_NULL,
    "type": TEXT_OR_NULL,
    "qualification": TEXT_OR_NULL,
    "direction": TEXT_OR_NULL,
    "status": TEXT_OR_NULL,
    "substatus": TEXT_OR_NULL,
    "status_reason": TEXT_OR_NULL,
    "registration_status": TEXT_OR_NULL,
    "sales_stage": TEXT_OR_NULL,
    "company_name": TEXT_OR_NULL,
    "domain": TEXT_OR_NULL,
    "domain_readable": TEXT_OR_NULL,
    "domain_source": TEXT_OR_NULL,
    "raw_domain": TEXT_OR_NULL,
    "customer_country": TEXT_OR_NULL,
    "customer_city": TEXT_OR_NULL,
    "customer_size": TEXT_OR_NULL,
    "deal_value": NUMBER_OR_NULL,
    "currency": TEXT_OR_NULL,
    "closing_at": INSTANT_OR_NULL,
    "expires_at": INSTANT_OR_NULL,
    "days_to_expiry": INTEGER_OR_NULL,
    "accepted_at": INSTANT_OR_NULL,
    "closed_at": INSTANT_OR_NULL,
    "pc_created_at": INSTANT_OR_NULL,
    "pc_updated_at": INSTANT_OR_NULL,
    "synced_at": INSTANT,
    "first_seen_at": INSTANT,
    "missing_since": INSTANT_OR_NULL,
    "organization_id": TEXT_OR_NULL,
    "etag": TEXT_OR_NULL,
}

_revisions = members(current=TEXT_OR_NULL, expected=TEXT)

_status = members(
    version=TEXT,
    role={"enum": ["reader", "operator"]},
    name=TEXT_OR_NULL,
    now=INSTANT,
    enabled=FLAG,
    level={"enum": ["ok", "attention", "failing", "disabled"]},
    alarms=list_of(
        {
            "type": "object",
            "properties": {
                "code": TEXT,
                "level": {"enum": ["attention", "failing", "disabled"]},
            },
            "required": ["code", "level"],
        }
    ),
    last_success_at=INSTANT_OR_NULL,
    lag_s=INTEGER_OR_NULL,
    next_due_at=INSTANT,
    missed=FLAG,
    last_sweep_at=INSTANT_OR_NULL,
    sweep_overdue=FLAG,
    sweep_under_way=FLAG,
    sweep=either(
        members(
            phase={"enum": ["reading", "checking", "shrank"]},
            received=COUNT,
            expected=INTEGER_OR_NULL,
        )
    ),
    running=either(reference("Run")),
    last_run=either(reference("Run")),
    sign_in=members(
        state={"enum": list(_SIGN_IN_STATES)},
        reason_code=TEXT_OR_NULL,
        message=TEXT_OR_NULL,
        since_at=INSTANT_OR_NULL,
        checked_at=INSTANT_OR_NULL,
        renewed_at=INSTANT_OR_NULL,
        refresh_token_age_s=INTEGER_OR_NULL,
        renewal_due=FLAG,
        correlation_id=TEXT_OR_NULL,
    ),
    counts=members(
        referrals=COUNT,
        open=COUNT,
        missing=COUNT,
        by_type=COUNTS_BY_NAME,
        by_status=COUNTS_BY_NAME,
    ),
    drift=COUNT,
    quarantine=members(open=COUNT),
    visibility_shrank=either(members(at=INSTANT, unseen=INTEGER_OR_NULL, present=INTEGER_OR_NULL)),
    order_verdict=TEXT,
    schema=_revisions,
    settings={"type": "object"},
)

SCHEMAS: dict[str, Schema] = {
    "Health": members(status=TEXT, partner_center_enabled=FLAG, version=TEXT),
    "Live": members(status=TEXT),
    "Ready": may_have(
        members(
            status={"enum": ["ready", "not_ready", "disabled"]},
            checks={"type": "object", "additionalProperties": TEXT},
        ),
        checked_at=INSTANT,
        schema=either(_revisions),
    ),
    "Problem": _problem,
    "Run": _run,
    "RunProblem": {
        **_problem,
        "properties": {
            **_problem["properties"],
            **_run["properties"],
            "success": {"const": False},
            "task_id": TEXT_OR_NULL,
        },
        "required": [*_problem["required"], "task_id", *_counts],
    },
    "Runs": members(runs=list_of(reference("Run")), next_cursor=TEXT_OR_NULL),
    "Status": _status,
    "ReferralSummary": members(**_referral),
    "Referrals": members(
        referrals=list_of(reference("ReferralSummary")),
        next_cursor=TEXT_OR_NULL,
        total=COUNT,
        total_is_exact=FLAG,
    ),
    "Referral": may_have(
        members(
            referral=members(**_referral, contacts=list_of(ANY), team=list_of(ANY)),
            history=list_of(
                members(
                    change_id={"type": "integer"},
                    task_id=TEXT,
                    changed_at=INSTANT,
                    field=TEXT,
                    before=ANY,
                    after=ANY,
                )
            ),
            details=members(
                notes=TEXT_OR_NULL,
                invitation_notes=TEXT_OR_NULL,
                invited_by=TEXT_OR_NULL,
                source=TEXT_OR_NULL,
                requirements={"type": "object", "additionalProperties": list_of(TEXT)},
                consents={"type": "object", "additionalProperties": FLAG},
                registrations=list_of(members(status=TEXT_OR_NULL, registered_at=TEXT_OR_NULL)),
            ),
            history_is_complete=FLAG,
        ),
        raw_data={"type": "object"},
    ),
    "Attention": members(
        kinds=list_of(
            members(
                kind={"enum": ["expiring", "new", "no_domain", "incomplete", "won_early"]},
                total=COUNT,
                total_is_exact=FLAG,
                referrals=list_of(reference("ReferralSummary")),
            )
        )
    ),
    "Statistics": members(
        weeks=list_of(
            members(begins_on={"type": "string", "format": "date"}, by_type=COUNTS_BY_NAME)
        ),
        by_country=COUNTS_BY_NAME,
    ),
    "Companies": members(
        companies=list_of(reference("Company")),
        next_cursor=TEXT_OR_NULL,
        total=INTEGER_OR_NULL,
    ),
    "Company": members(
        domain=TEXT,
        domain_readable=TEXT,
        company_name=TEXT_OR_NULL,
        referral_count=COUNT,
        co_sell_count=COUNT,
        marketplace_count=COUNT,
        solution_provider_count=COUNT,
        other_count=COUNT,
        open_count=COUNT,
        open_value={"type": "object", "additionalProperties": {"type": "number"}},
        newest_updated_at=INSTANT_OR_NULL,
        first_seen_at=INSTANT,
    ),
    "Quarantine": members(
        entries=list_of(
            may_have(
                members(
                    entry_id={"type": "integer"},
                    referral_id=TEXT_OR_NULL,
                    reason=TEXT,
                    field=TEXT_OR_NULL,
                    detail=TEXT,
                    state={"enum": ["open", "replayed", "superseded", "closed"]},
                    task_id=TEXT,
                    first_seen_at=INSTANT,
                    settled_at=INSTANT_OR_NULL,
                ),
                raw_text=TEXT,
            )
        ),
        next_cursor=TEXT_OR_NULL,
    ),
    "SignInStarted": members(
        id=TEXT,
        state={"const": "pending"},
        user_code=TEXT,
        verification_uri=TEXT,
        expires_at=INSTANT,
        interval_s={"type": "integer"},
        message=TEXT,
    ),
    "SignInProgress": members(
        id=TEXT,
        state={
            "enum": [
                "pending",
                "completed",
                "failed",
                "expired",
                "declined",
                "needs_confirmation",
            ]
        },
        account=TEXT_OR_NULL,
        may_read_referrals={"type": ["boolean", "null"]},
        reason_code=TEXT_OR_NULL,
        message=TEXT_OR_NULL,
    ),
}
