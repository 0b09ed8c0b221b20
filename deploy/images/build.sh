#!/bin/sh
# Builds Moorline's images from this clone, on a machine with Docker and nothing else:
#
#   sh deploy/images/build.sh                 # moorline-server, moorline-worker and moorline-job
#   sh deploy/images/build.sh worker job      # some of them
#
# It hands the certificates that this machine trusts to the build as a secret, which docker-compose 1.29 can't. They stay in no
# image. SSL_CERT_FILE names another bundle. Further options of `docker build` go into MOORLINE_BUILD_OPTIONS.
set -eu
cd "$(dirname "$0")/../.."

set -- "${@:-all}"
[ "$*" != all ] || set -- job server worker
for target in "$@"; do
    case "$target" in
        job | server | worker) ;;
        *) echo "there is no image $target: give job, server or worker" >&2 && exit 64 ;;
    esac
done

# Variables by name alone, so that no proxy's password shows in the process list.
options=""
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy PIP_INDEX_URL PIP_NO_INDEX NPM_CONFIG_REGISTRY; do
    if printenv "$name" >/dev/null; then options="$options --build-arg $name"; fi
done
revision=$(git describe --always --abbrev=40 --exclude='*' --dirty=-modified 2>/dev/null || echo unknown)

for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    [ -s "$bundle" ] || continue
    options="$options --secret id=ca,src=$bundle"
    break
done

for target in "$@"; do
    # Options are words without spaces, and are meant to be split.
    # shellcheck disable=SC2086
    DOCKER_BUILDKIT=1 docker build --file deploy/images/Dockerfile --target "$target" --build-arg "REVISION=$revision" \
        --tag "moorline-$target" --tag "moorline-$target:local" $options ${MOORLINE_BUILD_OPTIONS:-} .
done
