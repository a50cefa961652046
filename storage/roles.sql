-- The database `avatar` and its three roles; psql 15 or later, as a superuser, as often as you like:
--     psql --no-psqlrc --file storage/roles.sql
-- Passwords come from AVATAR_OWNER_PASSWORD, AVATAR_WORKER_PASSWORD and AVATAR_READER_PASSWORD; there is no default.
--   avatar_owner   creates the tables and migrates them; makes and deletes studies
--   avatar_worker  adds trials and their results: searchers and workers; it can make, rename or delete no study
--   avatar_reader  reads: the dashboard, reports, backups
-- PostgreSQL lets every role change its own password and leave read-only mode; the reader gains nothing by either, for
-- it may write nowhere. Run this file again to set the passwords back.
\set ON_ERROR_STOP on
-- A statement that holds a password belongs in no log, whatever the server logs.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

\set owner_password ''
\set worker_password ''
\set reader_password ''
\getenv owner_password AVATAR_OWNER_PASSWORD
\getenv worker_password AVATAR_WORKER_PASSWORD
\getenv reader_password AVATAR_READER_PASSWORD

SELECT least(length(:'owner_password'), length(:'worker_password'), length(:'reader_password')) < 16 AS weak \gset
\if :weak
    DO $$ BEGIN
        RAISE 'AVATAR_OWNER_PASSWORD, AVATAR_WORKER_PASSWORD and AVATAR_READER_PASSWORD must each hold 16 characters or more';
    END $$;
\endif

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['avatar_owner', 'avatar_worker', 'avatar_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE avatar_owner PASSWORD :'owner_password';
ALTER ROLE avatar_worker PASSWORD :'worker_password';
ALTER ROLE avatar_reader PASSWORD :'reader_password';
ALTER ROLE avatar_reader SET default_transaction_read_only = on;

SELECT 'CREATE DATABASE avatar OWNER avatar_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'avatar') \gexec

REVOKE ALL ON DATABASE avatar FROM PUBLIC;
GRANT CONNECT ON DATABASE avatar TO avatar_worker, avatar_reader;

\connect avatar
-- What PostgreSQL gives to everybody: large objects fill the disk, and whoever holds an advisory lock stops a search.
DO $$
DECLARE granted regprocedure;
BEGIN
    FOR granted IN
        SELECT p.oid::regprocedure FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^(lo_|lowrite|loread|pg_(try_)?advisory_)'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', granted);
        IF granted::text ~ 'advisory' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO avatar_owner, avatar_worker', granted);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO avatar_owner;
GRANT USAGE ON SCHEMA public TO avatar_worker, avatar_reader;

-- Rights table by table, for what stands and for what the owner will create: an event trigger gives them to new tables.
CREATE SCHEMA IF NOT EXISTS avatar_rights;
REVOKE ALL ON SCHEMA avatar_rights FROM PUBLIC;

CREATE OR REPLACE FUNCTION avatar_rights.give() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, avatar_worker, avatar_reader', name);
        EXECUTE format('GRANT SELECT ON public.%I TO avatar_worker, avatar_reader', name);
        IF name = 'studies' THEN -- no more than SELECT ... FOR UPDATE needs: a study that has directions keeps its id
            GRANT UPDATE (study_id) ON public.studies TO avatar_worker;
        ELSIF name IN ('study_user_attributes', 'study_system_attributes') OR name LIKE 'trial%' THEN
            EXECUTE format('GRANT INSERT, UPDATE ON public.%I TO avatar_worker', name);
        END IF;
        IF name IN ('study_system_attributes', 'trial_user_attributes', 'trial_system_attributes') THEN
            EXECUTE format('GRANT DELETE ON public.%I TO avatar_worker', name); -- workers that leave, claims given back
        END IF;
    END LOOP;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, avatar_worker, avatar_reader;
    GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO avatar_worker;
    GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO avatar_reader;
END $$;
REVOKE ALL ON FUNCTION avatar_rights.give() FROM PUBLIC;

CREATE OR REPLACE FUNCTION avatar_rights.on_created() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$ BEGIN PERFORM avatar_rights.give(); END $$;
REVOKE ALL ON FUNCTION avatar_rights.on_created() FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS avatar_rights;
CREATE EVENT TRIGGER avatar_rights ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE SEQUENCE')
    EXECUTE FUNCTION avatar_rights.on_created();
-- Earlier versions of this file gave whole default privileges.
ALTER DEFAULT PRIVILEGES FOR ROLE avatar_owner IN SCHEMA public REVOKE ALL ON TABLES FROM avatar_worker, avatar_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE avatar_owner IN SCHEMA public
    REVOKE ALL ON SEQUENCES FROM avatar_worker, avatar_reader;
SELECT avatar_rights.give();
