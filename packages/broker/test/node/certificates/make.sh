#!/bin/sh
# Makes the certificates of the tests: an authority, a server for localhost, a client, and a client of an unknown authority.
# They protect nothing. Run it here, with OpenSSL 3; they are valid for a hundred years.
set -eu
cd "$(dirname "$0")"

authority() { # file, name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
    -subj "/O=Pipit tests/CN=$2" -keyout "$1-key.pem" -out "$1.pem"
}

signed() { # file, name, authority, extensions
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/O=Pipit tests/CN=$2" \
    -keyout "$1-key.pem" -out request.tmp
  printf '%s\n' "$4" > extensions.tmp
  openssl x509 -req -in request.tmp -CA "$3.pem" -CAkey "$3-key.pem" -CAcreateserial -CAserial serial.tmp \
    -days 36500 -extfile extensions.tmp -out "$1.pem"
}

authority ca 'Test authority'
authority stranger 'Unknown authority'
signed server localhost ca 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
signed client 'device 7' ca 'extendedKeyUsage=clientAuth'
signed stranger-client 'device 8' stranger 'extendedKeyUsage=clientAuth'
rm -f ca-key.pem stranger-key.pem stranger.pem ./*.tmp
