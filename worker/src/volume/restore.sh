root=$1 file=$2 own=$1/.moorline
umask 077
digest() { [ -f "$1" ] && sha256sum <"$1" | cut -d' ' -f1; }
# Only what was judged is put back, and only over what was judged.
[ "$(digest "$root/$file")" = "$3" ] && [ "$(digest "$own/snapshot/$file")" = "$4" ] || exit 0
cp -- "$own/snapshot/$file" "$own/restored" && sync "$own/restored" && mv -f -- "$own/restored" "$root/$file" || exit 1
sync "$root/." 2>/dev/null
# If the token has run out meanwhile, only a real call tells whether this is still the login.
echo "restored from the snapshot" >>"$own/doubt"
echo restored
