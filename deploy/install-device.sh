#!/bin/sh
# Makes a Raspberry Pi (64-bit Raspberry Pi OS; any Debian 12 or newer will do) a device of a
# federation: packages, a user, an environment in /opt/chorus, settings in /etc/chorus, a service.
# Run again, it brings the software up to date and leaves settings alone.
#
#   sudo install-device.sh --join LINK [OPTION]...
#   sudo install-device.sh --broker HOST --ca ca.crt --password FEDERATION_NAME.password [OPTION]...
#
#   --join LINK        what `aggregator invite` printed, in quotes: nothing else is needed
#
#   --broker HOST      where the broker is, by a name that its certificate holds
#   --ca FILE          certificate of its authority     } both from
#   --password FILE    this device's password           } make-credentials.sh, clients/
#   --name NAME        this device's name, as the broker knows it; default: this host's name
#   --federation NAME  default: chorus
#   --package WHAT     what to install: a wheel, or a requirement; default: the one wheel beside
#                      this script or in ../dist, which `make wheel` has made
#   --without-service  install everything but start nothing
#   --dry-run          say what would be done, and do nothing
set -eu
unset CDPATH

fail() {
    echo "install-device.sh: $1" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p}' "$0"
}

here=$(cd "$(dirname "$0")" && pwd)
join='' broker='' ca='' password='' name='' federation='' package='' several='' service=yes dry=
while [ $# -gt 0 ]; do
    case $1 in
        --join | --broker | --ca | --password | --name | --federation | --package)
            [ $# -gt 1 ] || fail "$1 needs a value."
            option=${1#--}
            eval "$option=\$2"
            shift 2
            ;;
        --without-service) service='' && shift ;;
        --dry-run) dry=yes && shift ;;
        --help | -h) usage && exit 0 ;;
        *) fail "there is no option $1; see --help." ;;
    esac
done

# What is wrong is found before anything is done.
settings=/etc/chorus/edge-client.toml
given=$broker$ca$password$name$federation
if [ -n "$join" ]; then
    [ -z "$given" ] ||
        fail "with --join the link says where the broker is, and who this is: leave out --broker, --ca, \
--password, --name and --federation."
elif [ -e "$settings" ]; then
    [ -z "$given" ] ||
        fail "$settings is there, and is left alone: leave out --broker, --ca, --password, --name and \
--federation; or, to make it anew, move it away first and give them all."
elif [ -z "$broker" ] || [ -z "$ca" ] || [ -z "$password" ]; then
    fail "the first time --join, or --broker, --ca and --password are needed; see --help."
fi
name=${name:-$(uname -n | tr 'A-Z_' 'a-z-' | cut -d. -f1)}
federation=${federation:-chorus}
for word in "$name" "$federation"; do
    case $word in
        *[!a-z0-9-]* | -* | '') fail "\"$word\" cannot be a name: use a-z, 0-9 and -, and no - first." ;;
    esac
    [ ${#word} -le 64 ] || fail "\"$word\" is longer than 64 characters."
done
case $broker in
    *[!A-Za-z0-9.:-]*) fail "\"$broker\" is not a host name or an address." ;;
esac
case $join in
    '' | chorus://*#*) ;;
    *) fail "\"$join\" is no link of an invitation: put it in quotes." ;;
esac
for file in "$ca" "$password"; do
    [ -z "$file" ] || { [ -f "$file" ] && [ -r "$file" ]; } || fail "there is no file $file to read."
done
[ -r "$here/systemd/chorus-edge-client.service" ] ||
    fail "systemd/chorus-edge-client.service should be beside this script."
if [ -z "$package" ]; then
    for wheel in "$here"/chorus_edge-*.whl "$here"/../dist/chorus_edge-*.whl; do
        [ -e "$wheel" ] || continue
        [ -z "$package" ] || several=yes
        package="$package${package:+ }$wheel"
    done
    [ -z "$several" ] || fail "there are several wheels: remove all but the one to install, or name it \
with --package: $package"
    [ -n "$package" ] ||
        fail "there is no wheel beside this script: run \`make wheel\`, and copy dist/*.whl here."
fi
case $(uname -m) in
    aarch64 | x86_64) ;;
    *) fail "this needs a 64-bit system; $(uname -m) has no TFLite runtime. Use 64-bit Raspberry Pi OS." ;;
esac
command -v apt-get >/dev/null || fail "this is not Debian; docs/install.md says what to install."
[ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "run it as root: sudo $0 ..."

say() {
    echo "== $1" >&2
}

# run COMMAND...: do it, or only say it.
run() {
    if [ -n "$dry" ]; then
        echo "would run: $*"
    else
        "$@"
    fi
}

# put FILE MODE: write standard input to a file of root's that the service may read.
put() {
    if [ -n "$dry" ]; then
        echo "would write: $1 (mode $2)"
        cat >/dev/null
        return
    fi
    (umask 077 && cat >"$1.new")
    chown root:chorus "$1.new"
    chmod "$2" "$1.new"
    mv "$1.new" "$1"
}

say "packages"
run apt-get update -qq
run env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    python3 python3-venv libportaudio2 ca-certificates
if [ -z "$dry" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed (Raspberry Pi OS 12 has it); this is $(python3 -V)."
fi

say "the user chorus"
if ! id chorus >/dev/null 2>&1; then
    run useradd --system --user-group --groups audio --no-create-home \
        --home-dir /nonexistent --shell /usr/sbin/nologin chorus
fi

say "the environment /opt/chorus"
# An upgrade of the system may have taken its Python away.
/opt/chorus/bin/pip --version >/dev/null 2>&1 || run python3 -m venv --clear /opt/chorus
quiet="--quiet --disable-pip-version-check"
# shellcheck disable=SC2086  # they are two words
run /opt/chorus/bin/pip install $quiet --upgrade "$package"
# Also another build of the same version, which pip takes for the one that is there.
# shellcheck disable=SC2086
run /opt/chorus/bin/pip install $quiet --force-reinstall --no-deps "$package"

say "settings in /etc/chorus"
[ -d /etc/chorus ] || run install -d -m 755 /etc/chorus
if [ -n "$ca" ]; then put /etc/chorus/ca.crt 644 <"$ca"; fi
if [ -n "$password" ]; then put /etc/chorus/password 640 <"$password"; fi
if [ -n "$broker" ]; then
    put "$settings" 644 <<END
# Settings of this device: \`edge-client run --help\` tells of all of them.
client = "$name"
federation = "$federation"

[broker]
host = "$broker"
tls = true
ca_file = "/etc/chorus/ca.crt"
password_file = "/etc/chorus/password"
END
fi

say "the service"
put /etc/systemd/system/chorus-edge-client.service 644 \
    <"$here/systemd/chorus-edge-client.service"
if [ -n "$service" ] && command -v systemctl >/dev/null; then
    run systemctl daemon-reload
fi
if [ -n "$join" ] && [ -n "$service" ]; then
    # It writes the settings, and starts the service where systemd runs.
    run /opt/chorus/bin/edge-client join "$join"
elif [ -n "$join" ]; then
    say "done; let it join with: sudo /opt/chorus/bin/edge-client join 'LINK'"
elif [ -n "$service" ]; then
    run systemctl enable chorus-edge-client.service
    run systemctl restart chorus-edge-client.service
    say "done; see how it does with: journalctl -fu chorus-edge-client"
else
    say "done; start it with: systemctl enable --now chorus-edge-client"
fi
