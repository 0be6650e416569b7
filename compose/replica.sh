#!/bin/sh
# Entrypoint of a replica, as the server's user: clones the primary when the volume is new,
# then runs the server. Safe to repeat: a clone that was interrupted is thrown away, and a
# slot that exists is used.
set -eu
umask 077

# A file and not PGPASSWORD: the server follows its primary with it for as long as it runs.
# Written at each start, so that a new password needs only a restart.
passfile=$HOME/.pgpass
password=$(printf '%s' "$ELEARNING_REPLICATOR_PASSWORD" | sed 's/[\\:]/\\&/g')
printf '*:*:*:elearning_replicator:%s\n' "$password" >"$passfile"
unset ELEARNING_REPLICATOR_PASSWORD password

# With a database, which following a primary does without: the synchronization of its slots
# wants one. The name under which the primary shows this replica is that of its slot.
slot=${SHARD}_replica
primary="host=${PRIMARY_HOST:-$SHARD-primary} port=${PRIMARY_PORT:-5432} dbname=elearning_$SHARD"
primary="$primary user=elearning_replicator passfile=$passfile application_name=$slot"

rmdir "$PGDATA" 2>/dev/null || : # an image may bring it, empty
if [ ! -e "$PGDATA" ]; then
    # The slot before the copy, so that the primary keeps what is written meanwhile. One that
    # has lost that already can be followed no more.
    psql --no-psqlrc --quiet --no-password --set ON_ERROR_STOP=1 --set "slot=$slot" \
        --output /dev/null --dbname "$primary" <<'SQL'
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = :'slot' AND wal_status = 'lost';
SELECT pg_create_physical_replication_slot(:'slot', true)
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot');
SQL
    rm -rf "$PGDATA.new"
    pg_basebackup --pgdata "$PGDATA.new" --dbname "$primary" --no-password \
        --slot "$slot" --write-recovery-conf --wal-method stream --checkpoint fast
    mv "$PGDATA.new" "$PGDATA"
fi

exec "$@"
