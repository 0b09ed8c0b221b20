# Logs in beside the login that is there: a CLI may revoke and remove the old one before it asks for the new one, and a login that is broken
# off would cost it. What comes of it takes the old one's place in one step.
root=$1 file=$2 other=$3 variable=$4
shift 4
new=$root/.moorline/login
rm -rf "$new" "$root/.moorline/logout"
umask 077
mkdir -p "$new" || exit 1
# Its settings count for a login as well.
for settings in "$root"/*.toml; do
  [ ! -f "$settings" ] || cp "$settings" "$new/" || exit 1
done

child=
trap '[ -z "$child" ] || kill "$child" 2>/dev/null' TERM INT HUP
# A shell gives its background commands no input unless it is said.
exec 8<&0
env "$variable=$new" "$@" <&8 8<&- &
child=$!
exec 8<&-
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done

if [ "$code" = 0 ]; then
  if [ -f "$new/$file" ] && [ ! -L "$new/$file" ] && [ -s "$new/$file" ]; then
    { sync "$new/$file" || sync; } 2>/dev/null
    [ ! -d "$root/$file" ] || rm -rf "$root/$file"
    if mv -f "$new/$file" "$root/$file"; then
      # Nor is one of another kind.
      [ -z "$other" ] || rm -rf "$root/$other"
      # What was noted of the old one, or put aside, is not the new one's.
      rm -rf "$root/.moorline/state.json" "$root/.moorline/doubt" "$root/.moorline/snapshot"
    else
      code=1
    fi
    { sync "$root" || sync; } 2>/dev/null
  else
    echo "it stored no $file: see whether cli_auth_credentials_store in config.toml keeps logins elsewhere" >&2
    code=1
  fi
fi
rm -rf "$new"
exit "$code"
