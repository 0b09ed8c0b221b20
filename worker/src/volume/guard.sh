root=$1 use=$2 kind=$3 generation=$4 worker=$5 patience=$6 mode=$7
shift 7
own=$root/.moorline
say() { echo "moorline-guard: $*" >&2; }
note() {
  at=$(date +%s.%N 2>/dev/null)
  case $at in '' | *[!0-9.]*) at=$(date +%s).000000000 ;; esac
  { echo "$at $*" >>"$own/lock.log"; } 2>/dev/null
}
doubt() { { echo "$*" >>"$own/doubt"; } 2>/dev/null; }
for program in flock "$1"; do
  command -v "$program" >/dev/null || { say "cannot find $program"; exit 127; }
done

mask=$(umask)
umask 077
# A root that its own user may not write can still be mended by that user.
[ -w "$root/." ] || { chmod u+rwx "$root/." 2>/dev/null && export MOORLINE_MENDED_ROOT=1; }
# What an agent has put in place of these files, a pipe say, must not hold anybody up.
for name in lock lock.log generation doubt; do
  { [ -f "$own/$name" ] && [ ! -L "$own/$name" ]; } || rm -rf "$own/$name" 2>/dev/null
done
why=$({ mkdir -p "$own/uses" && : >>"$own/lock"; } 2>&1) || { say "unusable: $why"; exit 74; }
chmod 0700 "$own" 2>/dev/null

# The lock is held by whoever has this descriptor open, so also by a child that outlives this shell.
exec 9<>"$own/lock"
take() {
  flock -n "$1" 9 && return
  [ "$patience" -gt 0 ] && timeout "$patience" flock "$1" 9
}
held=shared
case $mode in
  exclusive) take -x && held=exclusive ;;
  shared) take -s ;;
  either) if flock -n -x 9; then held=exclusive; else take -s; fi ;;
esac || {
  say "in use: $(grep ' acquire ' "$own/lock.log" 2>/dev/null | tail -n 1)"
  exit 75
}

seen=$(cat "$own/generation" 2>/dev/null)
case $seen in '' | *[!0-9]*) seen=0 ;; esac
# No server counts that far, and no shell.
[ "${#seen}" -le 15 ] || seen=0
if [ "$generation" -gt 0 ] && [ "$generation" -lt "$seen" ]; then
  say "fenced: $seen"
  exit 76
fi
if [ "$generation" -gt "$seen" ]; then
  { echo "$generation" >"$own/generation.$use" && mv -f "$own/generation.$use" "$own/generation"; } 2>/dev/null
fi

# Who has the lock alone knows that nobody else is at work: what is not released by now never will be.
if [ "$held" = exclusive ]; then
  for left in "$own"/uses/*; do
    [ -f "$left" ] || continue
    what=
    read -r what <"$left"
    note "broken ${left##*/}"
    case $what in agent | probe | login | '') doubt "${left##*/} broke off" ;; esac
    rm -f "$left"
  done
  size=$(wc -c 2>/dev/null <"$own/lock.log") || size=0
  if [ "$size" -gt 65536 ]; then
    { tail -c "$((size / 2))" "$own/lock.log" | sed 1d >"$own/lock.log.new" && mv -f "$own/lock.log.new" "$own/lock.log"; } 2>/dev/null
  fi
fi
why=$({ echo "$kind" >"$own/uses/$use"; } 2>&1) || case $kind in
  # Who makes room must not need any.
  clean | logout) ;;
  *) say "unusable: $why"; rm -f "$own/uses/$use"; exit 74 ;;
esac
note "acquire $use $kind $generation $worker"

[ "$kind" = agent ] || export MOORLINE_LOCK="$held"

stop= child= again=
forward() {
  stop=$1 again=1
  [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null
}
# A shell's background commands ignore SIGINT.
trap 'forward TERM' TERM INT
trap 'forward HUP' HUP
# They are given no input either, unless it is said.
exec 8<&0
umask "$mask"
"$@" <&8 8<&- &
child=$!
umask 077
exec 8<&-
[ -z "$stop" ] || kill -s "$stop" "$child" 2>/dev/null
again=
wait "$child"
code=$?
while [ -n "$again" ]; do
  again=
  wait "$child" 2>/dev/null
  next=$?
  # 127: it was waited for already.
  [ "$next" = 127 ] || code=$next
done
trap '' TERM INT HUP
# One that failed may have failed between the issuer's answer and the disk.
case $kind in agent | probe | login) [ "$code" = 0 ] || doubt "$use ended with code $code" ;; esac
note "release $use $code"
rm -f "$own/uses/$use"
exit "$code"
