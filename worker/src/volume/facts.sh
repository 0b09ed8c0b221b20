umask 077
# $1: patterns below the root, with blanks between them.
size() ( cd "$root/." && set -- $1 && timeout 10 du -sbc -- "$@" 2>/dev/null | tail -n 1 | cut -f1 )
digest() { [ -f "$1" ] && sha256sum <"$1" 2>/dev/null | cut -d' ' -f1; }
facts() {
  stat -L -c 'root %u:%g %a' -- "$root/." 2>/dev/null
  stat -c 'credential %a %Y %s' -- "$root/$file" 2>/dev/null
  echo "digest $(digest "$root/$file")"
  stat -c 'snapshot %Y' -- "$own/snapshot/$file" 2>/dev/null && echo "snapshot_digest $(digest "$own/snapshot/$file")"
  [ ! -e "$own/doubt" ] || echo doubt
  [ ! -f "$own/state.json" ] || echo "state $(head -c 8192 "$own/state.json" | tr -d '\n')"
  echo "free $(df -B1 --output=avail -- "$root/." 2>/dev/null | tail -n 1 | tr -d ' ')"
  echo "sessions $(size "$sessions")"
  echo "logs $(size "$logs")"
  echo "own $(size .moorline)"
  echo "bytes $(size .)"
}
