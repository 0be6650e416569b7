#!/bin/sh
# Entrypoint of MongoDB: a member of a replica set that asks for passwords also wants a key
# in a file that only it can read. The image's own entrypoint does the rest.
set -eu
(umask 077 && printf '%s' "$ELEARNING_MONGODB_KEY" >/data/configdb/keyfile)
exec docker-entrypoint.sh "$@"
