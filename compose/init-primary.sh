#!/bin/sh
# Runs once on a new primary, as the server's user, before it listens: the roles with their
# passwords, and leave for the replicas to follow.
set -eu

run_sql() {
    psql --no-psqlrc --quiet --no-password --set ON_ERROR_STOP=1 \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

run_sql --file "${ROLES_SQL:-/elearning/roles.sql}"

# \getenv reads the environment in psql itself: no password shows in a list of processes.
# A statement that fails is not written to the log either.
run_sql <<'SQL'
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;
\getenv owner ELEARNING_OWNER_PASSWORD
\getenv app ELEARNING_APP_PASSWORD
\getenv reader ELEARNING_READER_PASSWORD
\getenv replicator ELEARNING_REPLICATOR_PASSWORD
ALTER ROLE elearning_owner PASSWORD :'owner';
ALTER ROLE elearning_app PASSWORD :'app';
ALTER ROLE elearning_reader PASSWORD :'reader';
ALTER ROLE elearning_replicator PASSWORD :'replicator';
SQL

# `all` in the image's own line means databases, and replication is none.
echo 'host replication elearning_replicator samenet scram-sha-256' >>"$PGDATA/pg_hba.conf"
