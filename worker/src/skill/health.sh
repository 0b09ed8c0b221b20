# Triples: run or look, a skill's folder, and a program in it. Each that is to be run, or that can't be, answers with a line of its number, its exit
# code and its words; the others with 0.
ask() {
  [ -f "$3/$4" ] && [ -r "$3/$4" ] && [ -x "$3/$4" ] || { echo "$1 closed "; return; }
  [ "$2" = run ] || { echo "$1 0 "; return; }
  said=$(cd "$3" && MOORLINE_SKILL_DIR=$3 timeout --kill-after=10 30 "./$4" 2>&1 </dev/null)
  code=$?
  echo "$1 $code $(printf %s "$said" | tr '\n\r\t' '   ' | head -c 600)"
}
number=0
while [ $# -gt 2 ]; do
  ask "$number" "$1" "$2" "$3" &
  number=$((number + 1))
  shift 3
done
wait
