-- The roles of one shard's primary, and what each may do. Run by a superuser in the shard's
-- database, before any table stands; running it again changes nothing.
--
--   elearning_owner       owns the database; migrates, and subscribes to other shards
--   elearning_app         reads and writes rows as far as models/grants.py lets it, calls routines
--   elearning_reader      reads rows, on replicas, and looks at the server's own state
--   elearning_replicator  streams to replicas and to the subscriptions of other shards
--
-- Passwords are set separately, so that none is in this file or in a server's log.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'elearning_owner', 'elearning_app', 'elearning_reader', 'elearning_replicator'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE elearning_owner LOGIN;
ALTER ROLE elearning_app LOGIN;
ALTER ROLE elearning_reader LOGIN;
ALTER ROLE elearning_replicator LOGIN REPLICATION;

GRANT pg_create_subscription TO elearning_owner;
-- CREATE SUBSCRIPTION holds a password, and a statement that fails is written to the log.
GRANT SET ON PARAMETER log_min_error_statement, log_statement, log_min_duration_statement
    TO elearning_owner;
-- Copies are brought in line as replication writes them, past triggers and foreign keys.
GRANT SET ON PARAMETER session_replication_role TO elearning_owner;
-- A reader tells how far a replica has come: received_tli of pg_stat_wal_receiver.
GRANT pg_monitor TO elearning_reader;

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO elearning_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO elearning_app, elearning_reader, elearning_replicator',
        current_database()
    );
    -- Bulk imports are staged in temporary tables.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO elearning_app', current_database());
END
$$;

REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;

ALTER SCHEMA public OWNER TO elearning_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO elearning_app, elearning_reader, elearning_replicator;

-- What the owner creates is nobody else's: `elearning migrate` grants each role what it needs,
-- see models/grants.py. Without IN SCHEMA, for only so can a default be revoked.
ALTER DEFAULT PRIVILEGES FOR ROLE elearning_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
