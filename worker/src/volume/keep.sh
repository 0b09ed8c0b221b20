root=$1 file=$2 sessions=$3 logs=$4 own=$1/.moorline
judged=$5 good=$6 sure=$7 state=$8 quota=$9
shift 9
caches=$1
# Whole or not at all, also where the machine loses its power meanwhile.
put() { sync "$1" 2>/dev/null; mv -f -- "$1" "$2" && sync "${2%/*}" 2>/dev/null; }
clean() ( cd "$root/." && set -- $sessions $logs $caches && rm -rf -- "$@" )
piled_up() {
  all=$(size .) mine=$(size .moorline) credential=$(stat -c %s -- "$root/$file" 2>/dev/null)
  echo $((${all:-0} - ${mine:-0} - ${credential:-0}))
}
if [ "$(digest "$root/$file")" = "$judged" ]; then
  echo kept
  sync "$root/$file" 2>/dev/null
  if [ "$good" = 1 ] && [ "$(digest "$own/snapshot/$file")" != "$judged" ]; then
    mkdir -p "$own/snapshot" && cp -- "$root/$file" "$own/snapshot/new" && put "$own/snapshot/new" "$own/snapshot/$file"
  fi
  [ -z "$state" ] || { printf '%s\n' "$state" >"$own/state.json.new" && put "$own/state.json.new" "$own/state.json"; }
  [ "$sure" != 1 ] || rm -f "$own/doubt"
fi
# Who shares the volume may still be at work with what would go.
if [ -n "$quota" ] && [ "$MOORLINE_LOCK" = exclusive ]; then
  before=$(piled_up)
  if [ "$before" -gt "$quota" ]; then
    clean
    echo "freed $((before - $(piled_up)))"
  fi
fi
facts
exit 0
