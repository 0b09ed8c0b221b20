#!/bin/sh
# Makes the files of secrets that docker-compose.yaml mounts, where they aren't there yet: a random password for Postgres, and empty ones to be
# filled. Run it from the folder of docker-compose.yaml; MOORLINE_SECRETS names another folder than ./secrets.
#
# The folder is its owner's alone. The files in it can be read by all, since containers see each by itself and read it as a user of their own.
set -eu
umask 022
folder=${MOORLINE_SECRETS:-./secrets}
mkdir -p "$folder"
chmod 0700 "$folder"

if [ ! -s "$folder/postgres_password" ]; then
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/postgres_password"
    rm -f "$folder/database_url"
fi
if [ ! -s "$folder/database_url" ]; then
    printf 'postgres://moorline:%s@postgres:5432/moorline' "$(cat "$folder/postgres_password")" >"$folder/database_url"
fi
for name in github_token google_api_key gemini_api_key openai_api_key codex_env gemini_env; do
    [ -e "$folder/$name" ] || : >"$folder/$name"
done
chmod 0644 "$folder"/*
echo "secrets are in $folder: put keys and tokens into the files there"
