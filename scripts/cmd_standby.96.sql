-- Helper functions of pitrtools for the primary, PostgreSQL 9.6.
--
--     psql -U postgres < scripts/cmd_standby.96.sql
--
-- Install them in the database that cmd_standby connects to (postgres). This can be repeated, and replaces the
-- functions of an older release. doc/helper-sql.md says what each function does and which role may call it.

CREATE OR REPLACE FUNCTION cmd_get_data_dirs() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT current_setting('data_directory')
  UNION ALL
  SELECT location FROM (SELECT pg_tablespace_location(oid) AS location FROM pg_tablespace) AS t WHERE location LIKE '/%';
$$;
COMMENT ON FUNCTION cmd_get_data_dirs() IS 'pitrtools: the data directory and the directory of every tablespace';

CREATE OR REPLACE FUNCTION cmd_get_pgdata() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT current_setting('data_directory');
$$;

CREATE OR REPLACE FUNCTION cmd_get_tablespaces() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT location FROM (SELECT pg_tablespace_location(oid) AS location FROM pg_tablespace) AS t WHERE location LIKE '/%';
$$;

CREATE OR REPLACE FUNCTION cmd_pg_start_backup() RETURNS integer
LANGUAGE sql SET search_path = pg_catalog AS $$
  SELECT pg_start_backup('cmd_pg_start_backup', true);
  SELECT 1;
$$;
COMMENT ON FUNCTION cmd_pg_start_backup() IS 'pitrtools: begins an exclusive backup with the label cmd_pg_start_backup';

CREATE OR REPLACE FUNCTION cmd_pg_stop_backup() RETURNS integer
LANGUAGE sql SET search_path = pg_catalog AS $$
  SELECT pg_stop_backup();
  SELECT 1;
$$;
COMMENT ON FUNCTION cmd_pg_stop_backup() IS 'pitrtools: ends the exclusive backup, no matter who began it';

-- The two functions that cmd_standby -B itself calls are the same for every release of PostgreSQL. The backup
-- that they begin and end belongs to the session and ends with it: both must be called in one session.
\set QUIET on

CREATE OR REPLACE FUNCTION cmd_pg_start_backup(label text, fast boolean) RETURNS text
LANGUAGE sql SET search_path = pg_catalog AS $$
  SELECT pg_start_backup($1, $2, false)::text;
$$;
COMMENT ON FUNCTION cmd_pg_start_backup(text, boolean) IS 'pitrtools: begins a backup and returns where in the WAL';

CREATE OR REPLACE FUNCTION cmd_pg_stop_backup(label text, OUT lsn text, OUT labelfile text, OUT spcmapfile text)
RETURNS SETOF record
LANGUAGE sql SET search_path = pg_catalog AS $$
  SELECT b.lsn::text, b.labelfile, b.spcmapfile FROM pg_stop_backup(false) AS b;
$$;
COMMENT ON FUNCTION cmd_pg_stop_backup(text) IS 'pitrtools: ends the backup of this session';

\set QUIET off
