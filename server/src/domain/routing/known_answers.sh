#!/usr/bin/env bash
# Works out where keys go, without the code under test: `sha256sum` hashes, `bc` takes the modulo.
# Prints a line a key: the first eight bytes of the hash, the remainders by 1, 3, 7 and 256, and the key.
set -euo pipefail

while IFS= read -r key; do
  hash=$(printf '%s' "$key" | sha256sum | cut -c1-16)
  line=$hash
  for modulo in 1 3 7 256; do
    line+=" $(echo "ibase=16; $(echo "$hash" | tr a-f A-F) % $(printf '%X' "$modulo")" | BC_LINE_LENGTH=0 bc)"
  done
  printf '%s %s\n' "$line" "$key"
done <<'KEYS'
octo/hello|001-greeting
octo/hello|002-farewell
octo/hello|001-greeting|T001
acme/rocket|003-launch-pad
acme/rocket|003-launch-pad|T014
https://github.com/acme/rocket.git|003-launch-pad
git@github.com:acme/rocket.git|004-landing
ssh://git@example.com:2222/team/tool.git|010-cli
file:///srv/git/sample.git|001-greeting
a
0
|
key with spaces inside
UPPER/case|Feature
upper/case|feature
größe/straße|005-maße
日本/語|006-翻訳
мир/проект|007-задача
emoji/🚀|008-🌍
é
é
z/z|999-zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz
percent%20encoded/name|009-q?x=1&y=2
KEYS
