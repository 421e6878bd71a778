# attack: a shell script reads files of the host and of its caller
# stopped-by: mount-ns landlock
# off: mount-ns landlock
secret=$(printf '%s' "$1" | sed -n 's/.*"secret_tmp":"\([^"]*\)".*/\1/p')
for path in /etc/shadow /etc/machine-id /etc/fstab /var/lib/dpkg/status "$secret"; do
    if [ -n "$path" ] && { read -r line < "$path"; } 2>/dev/null; then
        echo "ESCAPED read $path: $line"
        exit 1
    fi
done
echo "CONTAINED nothing of the host can be read"
