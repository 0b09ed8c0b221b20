root=$1 file=$2 sessions=$3 logs=$4 own=$1/.moorline
shift 4
mend() { "$@" 2>/dev/null && echo "mended $what"; }
mode() { stat -L -c %a -- "$1" 2>/dev/null; }
what='mode of the volume'
[ -z "$MOORLINE_MENDED_ROOT" ] || echo "mended $what"
unset MOORLINE_MENDED_ROOT
# A number leaves the bit that hands a folder's group on, which some set on a whole file system.
[ "$(mode "$root/.")" = 700 ] || mend chmod u=rwx,go=,ug-s,-t "$root/."
if [ -f "$root/$file" ] && [ ! -L "$root/$file" ]; then
  # Another's file can't be given away by this user, but what can be read can be copied.
  what="owner of $file"
  copy() { cp -- "$root/$file" "$own/mine" && mv -f -- "$own/mine" "$root/$file"; }
  [ -O "$root/$file" ] || mend copy
  rm -f "$own/mine"
  what="mode of $file"
  [ "$(mode "$root/$file")" = 600 ] || mend chmod 0600 "$root/$file"
fi
# It may hold keys of tools, too.
if [ -f "$root/config.toml" ] && [ ! -L "$root/config.toml" ] && [ "$(mode "$root/config.toml")" != 600 ]; then
  what='mode of config.toml'
  mend chmod 0600 "$root/config.toml"
fi
"$@" </dev/null >&2
echo "status $?"
facts
exit 0
