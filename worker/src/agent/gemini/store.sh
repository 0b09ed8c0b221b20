# Stores an API key from standard input where the CLI looks for one.
umask 077
IFS= read -r key
case $key in
  '' | *[!A-Za-z0-9._~+/=-]*) echo 'Error: that is no API key: it is empty, or holds a character that no key has' >&2; exit 1 ;;
esac
printf 'GEMINI_API_KEY=%s\n' "$key" >"$MOORLINE_GEMINI_HOME/.env"
