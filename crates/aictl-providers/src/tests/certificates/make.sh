#!/bin/sh
# Makes the certificates of these tests, which are for them alone. They are valid for a century,
# but for the one that must not be.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
touch "$work/index"
cat >"$work/config" <<END
[ca]
default_ca = test
[test]
database = $work/index
new_certs_dir = $work
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
basicConstraints = CA:FALSE
subjectAltName = \${ENV::NAMES}
[authority]
basicConstraints = critical,CA:TRUE
subjectAltName = \${ENV::NAMES}
END
local='DNS:localhost,IP:127.0.0.1,IP:::1'
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
sign() { # name, names that it is for, last day, key, more arguments
    NAMES=$2 openssl req -new -config /dev/null -subj "/CN=aictl test $1" -key "$4" -out "$work/request"
    name=$1 names=$2 last=$3
    shift 4
    NAMES=$names openssl ca -batch -notext -config "$work/config" -in "$work/request" \
        -startdate 20200101000000Z -enddate "$last" -out "$name.pem" "$@"
}
key server.key
for ca in ca other-ca; do
    key "$work/$ca.key"
    sign "$ca" "$local" 21200101000000Z "$work/$ca.key" \
        -selfsign -keyfile "$work/$ca.key" -extensions authority
done
by_ca="-cert ca.pem -keyfile $work/ca.key"
# shellcheck disable=SC2086
{
    sign server "$local" 21200101000000Z server.key $by_ca
    sign other-name DNS:example.org 21200101000000Z server.key $by_ca
    sign expired "$local" 20200102000000Z server.key $by_ca
}
sign self-signed "$local" 21200101000000Z server.key \
    -selfsign -keyfile server.key -extensions authority
