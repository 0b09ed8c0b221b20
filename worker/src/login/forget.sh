# Logs out, with the credential in a folder of its own: a CLI that tells its issuer and is ended before it removes the file would leave a login
# behind that looks like one. Whatever becomes of it, the volume is logged out.
root=$1 file=$2 other=$3 variable=$4
shift 4
own=$root/.moorline
gone=$own/logout
rm -rf "$gone"
umask 077
mkdir -p "$gone" || exit 1
for settings in "$root"/*.toml; do
  [ ! -f "$settings" ] || cp "$settings" "$gone/" || exit 1
done
[ ! -e "$root/$file" ] || mv -f "$root/$file" "$gone/$file" || exit 1
[ -z "$other" ] || rm -rf "$root/$other" || exit 1
rm -rf "$own/snapshot" "$own/state.json" "$own/doubt" "$own/login" "$own/restored" "$own/mine"
{ sync "$root" || sync; } 2>/dev/null
env "$variable=$gone" "$@"
code=$?
rm -rf "$gone"
exit "$code"
