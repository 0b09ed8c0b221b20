#!/bin/sh
# Prepares a node of a Swarm for the services that it is to run. On the node, as root or another user who may use the engine:
#
#   sh deploy/swarm/node.sh postgres server default shard-0
#
# It makes the folder and the network of jobs, where the node is to have workers, and looks for the job image, which no service starts. Then it says what to
# call on a manager: a service runs where its node has a label. A login's volume is made with its worker, on the node that has the label; before the label moves,
# the volume has to (docs/deployment.md).
#
# As for docker-compose: MOORLINE_WORK_ROOT, MOORLINE_JOB_NETWORK and SPEC_AUTOMATION_JOB_IMAGE.
set -eu
root=${MOORLINE_WORK_ROOT:-/var/lib/moorline/work}
network=${MOORLINE_JOB_NETWORK:-moorline_jobs}
image=${SPEC_AUTOMATION_JOB_IMAGE:-moorline-job:local}

workers=
labels=
for service in "$@"; do
    case $service in
    postgres | server) ;;
    default | gemini | shard-[0-9]*) workers=yes ;;
    *)
        echo "$service is no service: give some of postgres, server, default, gemini, shard-0, shard-1, …" >&2
        exit 64
        ;;
    esac
    labels="$labels --label-add moorline.$service=true"
done
if [ -z "$labels" ]; then
    echo "say which services this node is to run: postgres, server, default, gemini, shard-0, shard-1, …" >&2
    exit 64
fi
if [ -n "$workers" ]; then
    install -d -m 0700 -o 1000 -g 1000 "$root"
    # No job sees another, nor a service.
    docker network inspect "$network" >/dev/null 2>&1 ||
        docker network create --opt com.docker.network.bridge.enable_icc=false "$network" >/dev/null
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" || {
        echo "the image $image is not here and can't be pulled: load it, or set SPEC_AUTOMATION_JOB_IMAGE to one in your registry" >&2
        exit 69
    }
    echo "the engine's socket belongs to the group $(stat -c %g /var/run/docker.sock): MOORLINE_DOCKER_GID has to be that on every node"
fi
echo "on a manager: docker node update$labels $(docker info --format '{{.Swarm.NodeID}}')"
