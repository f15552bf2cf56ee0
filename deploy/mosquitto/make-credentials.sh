#!/bin/sh
# Makes what Mosquitto needs to know a federation's aggregator and devices by: an authority of our
# own, a certificate for the broker, and a password and access rules for each user. Run again, it
# adds what is missing and leaves everything else as it is. One broker may serve several federations.
#
#   make-credentials.sh [--host NAME-OR-ADDRESS]... [--federation NAME] [--renew] FOLDER [DEVICE]...
#   make-credentials.sh --revoke [--federation NAME] FOLDER DEVICE...
#
#   --host        what clients call the broker by; several are possible. Needed the first time.
#   --federation  whose devices these are; default: chorus
#   --renew       make the broker's certificate anew (it holds for 825 days, the authority's for ten
#                 years), for the names given with --host, or for those it had.
#   --revoke      take these devices' passwords away, for good: named again, they get others. Where one
#                 of them is not there, nobody is revoked.
#   DEVICE        names: a-z, 0-9 and -, beginning with a letter or digit. The aggregator is added.
#
# FOLDER/broker/   for the broker: ca.crt, server.crt, server.key, passwords (hashed), acl
# FOLDER/clients/  for each user: FEDERATION_DEVICE.password, FEDERATION_FEDERATION-aggregator.password;
#                  and ca.crt, which all of them need
# FOLDER/ca.key    signs certificates: keep it off the broker, and offline if you can
set -eu
unset CDPATH
umask 077

fail() {
    echo "make-credentials.sh: $1" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p}' "$0"
}

hosts=
federation=chorus
renew=
revoke=
while [ $# -gt 0 ]; do
    case $1 in
        --host)
            [ $# -gt 1 ] || fail "--host needs a name or an address."
            case $2 in
                *[!A-Za-z0-9.:-]* | '' | -*) fail "\"$2\" is not a host name or an address." ;;
            esac
            hosts="$hosts $2"
            shift 2
            ;;
        --federation)
            [ $# -gt 1 ] || fail "--federation needs a name."
            federation=$2
            shift 2
            ;;
        --renew) renew=yes && shift ;;
        --revoke) revoke=yes && shift ;;
        --help | -h) usage && exit 0 ;;
        -*) fail "there is no option $1; see --help." ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || fail "name a folder; see --help."
folder=$1
shift

for tool in openssl mosquitto_passwd flock; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt install openssl mosquitto util-linux \
(on any machine; no broker need run)."
done
if [ -n "$revoke" ]; then
    [ $# -gt 0 ] || fail "say which devices to revoke."
    [ -e "$folder/broker/passwords" ] || fail "there are no passwords in $folder."
    [ -z "$hosts$renew" ] || fail "--revoke goes without --host and --renew."
fi
aggregator=$federation-aggregator
for name in "$federation" "$@"; do
    case $name in
        *[!a-z0-9-]* | -* | '') fail "\"$name\" cannot be a name: use a-z, 0-9 and -, and no - first." ;;
        "$aggregator") fail "\"$name\" is the aggregator, and not a device." ;;
    esac
    [ ${#name} -le 64 ] || fail "\"$name\" is longer than 64 characters."
done
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder/broker" "$folder/clients"
cd "$folder"

# One run at a time: a second one waits. What runs that were killed have left goes.
exec 9<.
flock 9 || fail "$folder cannot be locked: let it be on a disk of this machine."
rm -rf ./.making-*

# federations_with DEVICE: those that have it, one a line.
federations_with() {
    {
        cut -d: -f1 broker/passwords
        # A run that was stopped may have left its password here alone.
        find clients -name '*.password' | sed 's,.*/,,;s/\.password$//'
    } | sed -n "s/_$1\$//p" | sort -u
}

if [ -n "$revoke" ]; then
    for name in "$@"; do
        there=$(federations_with "$name")
        echo "$there" | grep -qx -e "$federation" && continue
        if [ -n "$there" ]; then
            there="but in $(echo "$there" | paste -sd, | sed 's/,/, /g'): say which with --federation"
        else
            there="nor in another federation; $folder/broker/passwords lists all"
        fi
        fail "there is no device \"$name\" in $federation, $there. Nothing was changed."
    done
fi

# What is made is named at its end. A run that was stopped leaves nothing half done that the same
# command does not finish.
work=$(mktemp -d ./.making-XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

if [ ! -e ca.key ] || [ ! -e broker/ca.crt ]; then
    if [ -e broker/server.crt ] || [ -e clients/ca.crt ]; then
        fail "$folder has certificates, but not both of ca.key and broker/ca.crt that they are from: \
bring back what is missing."
    fi
    [ ! -e broker/ca.crt ] || fail "$folder has broker/ca.crt, but no ca.key: bring it back."
    # A run that was stopped may have made the key alone: nobody knows it yet, so it will do.
    if [ ! -e ca.key ]; then
        openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
        mv "$work/ca.key" ca.key
    fi
    openssl req -x509 -new -key ca.key -days 3650 -subj "/CN=Chorus authority" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$work/ca.crt"
    mv "$work/ca.crt" broker/ca.crt
    echo "made the authority" >&2
fi
chmod 644 broker/ca.crt
cp broker/ca.crt clients/ca.crt
chmod 644 clients/ca.crt

# names_of CERTIFICATE: what it is for, as openssl wants it.
names_of() {
    openssl x509 -in "$1" -noout -ext subjectAltName | sed -n '2s/ //gp' | sed 's/IPAddress:/IP:/g'
}

# fit KEY CERTIFICATE: whether they belong together. A run that was stopped may have made one anew.
fit() {
    public=$(openssl pkey -in "$1" -passin pass: -pubout 2>/dev/null) &&
        [ "$public" = "$(openssl x509 -in "$2" -noout -pubkey 2>/dev/null)" ]
}

if [ -z "$renew" ] && fit broker/server.key broker/server.crt; then
    [ -z "$hosts" ] || echo "left the broker's certificate as it is ($(names_of broker/server.crt));" \
        "--renew changes it" >&2
else
    names=
    for host in $hosts; do
        case $host in
            *:*) names="$names,IP:$host" ;;
            *[!0-9.]*) names="$names,DNS:$host" ;;
            *) names="$names,IP:$host" ;;
        esac
    done
    names=${names#,}
    if [ -z "$names" ] && [ -e broker/server.crt ]; then
        names=$(names_of broker/server.crt)
    fi
    [ -n "$names" ] || fail "say with --host what clients call the broker by."
    cat >"$work/extensions" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $names
END
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/server.key"
    openssl req -new -key "$work/server.key" -subj "/CN=Chorus broker" -out "$work/server.csr"
    openssl x509 -req -in "$work/server.csr" -CA broker/ca.crt -CAkey ca.key -days 825 \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" \
        -out "$work/server.crt" 2>/dev/null || fail "no certificate for $names."
    mv "$work/server.key" broker/server.key
    mv "$work/server.crt" broker/server.crt
    echo "made the broker's certificate for $names" >&2
fi
chmod 644 broker/server.crt

# A device's own file goes before the broker forgets its password, and comes after it knows it: the
# same command finishes both.
touch "$work/passwords"
[ ! -e broker/passwords ] || cp broker/passwords "$work/passwords"
[ -n "$revoke" ] || set -- "$aggregator" "$@"
for name in "$@"; do
    user=${federation}_$name
    password=clients/$user.password
    if [ -n "$revoke" ]; then
        rm -f "$password"
    elif [ ! -s "$password" ]; then
        password=$work/$user.password
        openssl rand -hex 24 >"$password"
    elif grep -q "^$user:" "$work/passwords"; then
        continue
    fi
    grep -v "^$user:" "$work/passwords" >"$work/others" || [ $? -eq 1 ] # nobody else
    mv "$work/others" "$work/passwords"
    if [ -z "$revoke" ]; then
        # Both by standard input and a file of ours alone, for others can see a command's words.
        (printf '%s:' "$user" && cat "$password") >"$work/one"
        mosquitto_passwd -U "$work/one" >/dev/null
        cat "$work/one" >>"$work/passwords"
    fi
done

# The rules of all users that have a password. No name has a _ in it.
cut -d: -f1 "$work/passwords" | while IFS=_ read -r whose name; do
    rules="user FEDERATION_NAME"
    [ "$name" != "$whose-aggregator" ] || rules="user FEDERATION_FEDERATION-aggregator"
    sed -n "/^$rules\$/,/^\$/{s/FEDERATION/$whose/g;s/NAME/$name/g;p}" "$here/acl"
done >"$work/acl"
mv "$work/acl" broker/acl
mv "$work/passwords" broker/passwords
chmod 600 broker/passwords broker/acl broker/server.key ca.key
for made in "$work"/*.password; do
    [ -e "$made" ] || continue
    mv "$made" clients/
    echo "made a password for $(basename "$made" .password)" >&2
done
[ -z "$revoke" ] || echo "took the password away of: $*" >&2
