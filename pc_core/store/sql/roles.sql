-- Roles and grants. Idempotent; run by the database's administrator, and after each migration.
-- partner_center_owner (no login) owns the tables. partner_center_reader (no login) reads them;
-- grant it to the people, reports and CRM systems that may:
--     GRANT partner_center_reader TO "somebody";
-- The app's own role may only read and write rows.

-- name: create
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_owner') THEN
        CREATE ROLE partner_center_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_reader') THEN
        CREATE ROLE partner_center_reader NOLOGIN;
    END IF;
    IF NOT pg_has_role(current_user, 'partner_center_owner', 'USAGE') THEN
        EXECUTE format('GRANT partner_center_owner TO %I', current_user);
    END IF;
    GRANT USAGE, CREATE ON SCHEMA public TO partner_center_owner;
    GRANT USAGE ON SCHEMA public TO partner_center_reader;
END
$$;

-- name: own
-- Tables that an earlier migration created as another role.
DO $$
DECLARE
    found record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_owner') THEN
        RETURN;
    END IF;
    FOR found IN
        SELECT c.oid::regclass AS name, c.relkind
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
            AND c.relname LIKE 'partner\_center\_%'
            AND c.relkind IN ('r', 'v')
            AND c.relowner <> 'partner_center_owner'::regrole
            AND pg_has_role(current_user, c.relowner, 'USAGE')
            AND pg_has_role(current_user, 'partner_center_owner', 'USAGE')
            AND has_schema_privilege('partner_center_owner', 'public', 'CREATE')
    LOOP
        EXECUTE format(
            'ALTER %s %s OWNER TO partner_center_owner',
            CASE found.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
            found.name
        );
    END LOOP;
END
$$;

-- name: grant_reader
-- All present and future tables, except the lease, the erasure key and the tombstones.
DO $$
DECLARE
    found record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_reader') THEN
        RETURN;
    END IF;
    FOR found IN
        SELECT c.oid::regclass AS name, c.relname
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
            AND c.relname LIKE 'partner\_center\_%'
            AND c.relkind IN ('r', 'v')
            AND pg_has_role(current_user, c.relowner, 'USAGE')
    LOOP
        IF found.relname IN ('partner_center_sync_state', 'partner_center_tombstones') THEN
            EXECUTE format('REVOKE ALL ON %s FROM partner_center_reader', found.name);
        ELSE
            EXECUTE format('GRANT SELECT ON %s TO partner_center_reader', found.name);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_owner')
        AND pg_has_role(current_user, 'partner_center_owner', 'USAGE') THEN
        ALTER DEFAULT PRIVILEGES FOR ROLE partner_center_owner IN SCHEMA public
            GRANT SELECT ON TABLES TO partner_center_reader;
    END IF;
END
$$;

-- name: grant_app
DO $do$
DECLARE
    app text := pg_catalog.current_setting('partner_center.app_role');
    found record;
BEGIN
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), app);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', app);
    BEGIN
        EXECUTE format(
            'ALTER ROLE %I IN DATABASE %I SET search_path = public', app, current_database()
        );
    EXCEPTION WHEN insufficient_privilege THEN
        -- An administrator who did not create the role may not; as a rule, public is in the path.
        NULL;
    END;
    FOR found IN
        SELECT c.oid::regclass AS name
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
            AND c.relname LIKE 'partner\_center\_%'
            AND c.relkind IN ('r', 'v')
            AND pg_has_role(current_user, c.relowner, 'USAGE')
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', found.name, app);
    END LOOP;
    IF to_regclass('public.partner_center_schema_version') IS NOT NULL THEN
        EXECUTE format(
            'REVOKE INSERT, UPDATE, DELETE ON public.partner_center_schema_version FROM %I', app
        );
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'partner_center_owner')
        AND pg_has_role(current_user, 'partner_center_owner', 'USAGE') THEN
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES FOR ROLE partner_center_owner IN SCHEMA public '
            'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
            app
        );
    END IF;
END
$do$;
