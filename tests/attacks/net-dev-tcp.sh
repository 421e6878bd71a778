# attack: bash connects through /dev/tcp and /dev/udp
# stopped-by: net-ns seccomp
# off: net-ns seccomp
port=$(printf '%s' "$1" | sed -n 's/.*"tcp4_port":\([0-9]*\).*/\1/p')
udp=$(printf '%s' "$1" | sed -n 's/.*"udp4_port":\([0-9]*\).*/\1/p')
if (exec 5<>"/dev/tcp/127.0.0.1/$port" && echo stolen >&5) 2>/dev/null; then
    echo "ESCAPED connected to port $port"
    exit 1
fi
if (exec 5<>"/dev/udp/127.0.0.1/$udp" && echo stolen >&5) 2>/dev/null; then
    echo "ESCAPED sent to port $udp"
    exit 1
fi
echo "CONTAINED /dev/tcp and /dev/udp lead nowhere"
