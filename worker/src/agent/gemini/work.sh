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
key=$(sed -n 's/^GEMINI_API_KEY=//p' "$volume/.env" 2>/dev/null | head -n 1)
[ -z "$key" ] || GEMINI_API_KEY=$key
if [ -f "$volume/.env" ] || [ ! -f "$volume/oauth_creds.json" ]; then
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
