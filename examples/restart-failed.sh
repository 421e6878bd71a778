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
    busctl call org.aictl1 /org/aictl1 org.aictl1.Services "$member" "$@"
}

look() {
    case $(call Get s "$service") in
    *'"active_state" s "failed"'*)
        echo "$service has failed"
        # It may fail again and again: then the helper says so, and the next look is another try.
        call Restart stu "$service" 0 0 || :
        ;;
    esac
}

# The helper tells of changes while it runs, and ends when nobody has called it for 60 s: a look
# every 30 s keeps it there, and sees what it could not tell.
look
echo "watching $service"
{
    gdbus monitor --system --dest org.aictl1 --object-path /org/aictl1 &
    while sleep 30; do echo look; done
} |
    while read -r line; do
        case $line in
        look | *"org.aictl1.Services.Changed ('$service',)" | *"org.aictl1 is owned by"*) look ;;
        esac
    done
