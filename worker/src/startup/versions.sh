# Pairs of a name and a program. All are asked at once; each answers with a line of its name, its exit code and its words.
ask() {
  command -v "$2" >/dev/null || { echo "$1 127 "; return; }
  said=$(timeout 60 "$2" --version 2>/dev/null </dev/null)
  code=$?
  # What it says of its trouble is elsewhere.
  [ "$code" = 0 ] || said=$(timeout 60 "$2" --version 2>&1 </dev/null)
  echo "$1 $code $(printf %s "$said" | tr '\n\r\t' '   ' | head -c 600)"
}
while [ $# -gt 1 ]; do
  ask "$1" "$2" &
  shift 2
done
wait
