# Calls the CLI with a home of its own that is gone with the run: in the volume it would leave its conversations, which the next run's agent
# could read. What is people's and the login's is linked there from the volume, so that a token that the CLI renews is kept.
# $1: its settings, which no repository overrides; then the command line.
settings=$1
shift
volume=$MOORLINE_GEMINI_HOME
home=$HOME/gemini
rm -rf "$home"
mask=$(umask)
umask 077
mkdir -p "$home/.gemini" "$home/tmp" || exit 1
for file in "$volume"/* "$volume"/.[!.]*; do
  case ${file##*/} in .moorline | .env | tmp | history | projects.json* | *.log) continue ;; esac
  [ ! -e "$file" ] || ln -s "$file" "$home/.gemini/" || exit 1
done
type=oauth-personal
# The key of the volume goes before the worker's own. Variables go before every file of that name in the repository.
# What a line of that file sets may be exported, quoted, or end as lines of another system do. The worker reads it so, too.
value() {
  sed -n "s/\r\$//; s/^[[:space:]]*\(export[[:space:]][[:space:]]*\)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" 2>/dev/null <"$volume/.env" |
    sed "s/[[:space:]]*\$//; s/^\"\(.*\)\"\$/\1/; s/^'\(.*\)'\$/\1/; s/^[[:space:]]*//; s/[[:space:]]*\$//; q"
}
key= project=
if [ -f "$volume/.env" ]; then
  key=$(value GEMINI_API_KEY)
  # Accounts of an organization need it.
  project=$(value GOOGLE_CLOUD_PROJECT)
fi
[ -z "$key" ] || GEMINI_API_KEY=$key
[ -z "$project" ] || export GOOGLE_CLOUD_PROJECT="$project"
if [ -n "$key" ] || [ ! -f "$volume/oauth_creds.json" ]; then
  type=gemini-api-key
  export GEMINI_API_KEY
else
  unset GEMINI_API_KEY
fi
# No repository overrides the settings of the system, which the CLI takes from a folder alone that nobody else can change; then those of the
# user say the same, unless somebody has put others into the volume.
printf '%s\n' "$settings" | sed "s/TYPE/$type/" >"$home/system.json" || exit 1
[ -e "$home/.gemini/settings.json" ] || cp "$home/system.json" "$home/.gemini/settings.json" || exit 1
# It writes reports of failed calls, the conversation in them, where temporary files are.
export GEMINI_CLI_HOME="$home" GEMINI_CLI_SYSTEM_SETTINGS_PATH="$home/system.json" TMPDIR="$home/tmp"
umask "$mask"
exec "$@"
