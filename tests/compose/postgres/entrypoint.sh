# What docker-compose.yaml asks of the official image: a cluster with POSTGRES_USER, POSTGRES_DB and the password of POSTGRES_PASSWORD_FILE, made
# at the first start in the volume.
set -eu
data=/var/lib/postgresql/data
as="setpriv --reuid postgres --regid postgres --init-groups"
install -d -m 0700 -o postgres -g postgres "$data"
if [ ! -s "$data/PG_VERSION" ]; then
    install -m 0600 -o postgres "$POSTGRES_PASSWORD_FILE" /tmp/password
    $as initdb --pgdata "$data" --username "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-sync
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | $as postgres --single -D "$data" postgres
fi
exec $as postgres -D "$data" -c listen_addresses='*'
