# Whether the CLI is there and the volume's files can be read. The CLI has no command that tells of a login.
command -v "$1" >/dev/null || { echo "cannot find $1" >&2; exit 127; }
for file in .env oauth_creds.json; do
  file=$MOORLINE_GEMINI_HOME/$file
  [ ! -e "$file" ] || [ -r "$file" ] || { echo "$file: Permission denied" >&2; exit 13; }
done
