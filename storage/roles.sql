-- The database `avatar` and its three roles; psql 15 or later, as a superuser, as often as you like:
--     psql --no-psqlrc --file storage/roles.sql
-- Passwords come from AVATAR_OWNER_PASSWORD, AVATAR_WORKER_PASSWORD and AVATAR_READER_PASSWORD; there is no default.
--   avatar_owner   creates the tables and migrates them; makes studies
--   avatar_worker  reads and writes rows: searchers and workers
--   avatar_reader  reads: the dashboard, reports, backups
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
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO avatar_owner;
GRANT USAGE ON SCHEMA public TO avatar_worker, avatar_reader;

-- What stands, and what the owner will create.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO avatar_worker;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO avatar_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO avatar_reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO avatar_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE avatar_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO avatar_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE avatar_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO avatar_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE avatar_owner IN SCHEMA public GRANT SELECT ON TABLES TO avatar_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE avatar_owner IN SCHEMA public GRANT SELECT ON SEQUENCES TO avatar_reader;
