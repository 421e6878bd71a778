#!/bin/sh
# Restarts a service that has failed, as soon as the helper says so: restart-failed.sh SERVICE
#
# It needs busctl (systemd) and gdbus (Debian: libglib2.0-bin), and that polkit lets you restart the
# service (org.aictl1.services.control).
set -eu
service=${1:?the name of a service, such as ollama}

call() {
    member=$1
    shift
    busctl call org.aictl1 /org/aictl1 "org.aictl1.$member" "$@"
}

look() {
    case $(call Services Get s "$service") in
    *'"active_state" s "failed"'*)
        echo "$service has failed"
        call Services Restart stu "$service" 0 0
        ;;
    esac
}

# The helper tells of changes while it runs, and ends when nobody has called it for 60 s.
while call Manager Health >/dev/null; do sleep 30; done &
awake=$!
trap 'kill "$awake"' EXIT
trap 'exit 1' INT TERM

look
echo "watching $service"
gdbus monitor --system --dest org.aictl1 --object-path /org/aictl1 |
    while read -r line; do
        case $line in
        *"org.aictl1.Services.Changed ('$service',)") look ;;
        esac
    done
