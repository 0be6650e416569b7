#!/bin/sh
# Writes .env from .env.example, with a random password for each account. An account's password
# stands in a variable for compose.yaml and in the URLs for the package; both get the same.
set -eu
umask 077
CDPATH='' cd -- "$(dirname -- "$0")/.."

if [ -e .env ]; then
    echo 'compose: .env exists already, and is left as it is' >&2
    exit 1
fi

secret() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

mongodb=$(secret)
{
    printf 's/^ELEARNING_MONGODB_PASSWORD=$/&%s/\n' "$mongodb"
    printf 's#\\(mongodb://elearning_app:\\)@#\\1%s@#\n' "$mongodb"
    for role in owner app reader replicator; do
        password=$(secret)
        printf 's/^ELEARNING_%s_PASSWORD=$/&%s/\n' "$(echo $role | tr '[:lower:]' '[:upper:]')" "$password"
        printf 's#\\(psycopg://elearning_%s:\\)@#\\1%s@#\n' $role "$password"
    done
    printf 's/^ELEARNING_EMAIL_KEYS=""$/ELEARNING_EMAIL_KEYS="%s"/\n' "$(secret)"
    for name in POSTGRES_PASSWORD MONGODB_ROOT_PASSWORD MONGODB_KEY; do
        printf 's/^ELEARNING_%s=$/&%s/\n' $name "$(secret)"
    done
} | sed -f /dev/stdin .env.example >.env.new
mv .env.new .env
