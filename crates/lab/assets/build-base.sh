# Builds the base image of a lab: a small Debian with what etcd and its clients need, and an
# apt repository inside it so that package tasks work without any network.
#
# In (environment): BASE (finished directory), DEBS (package cache), SOURCES (one-line apt
# sources), APTCONF (apt options of this machine), SUITE, INCLUDE (comma separated, installed),
# REPO (space separated, kept as packages only). Run under flock; a finished base is never touched.
set -eu
[ ! -e "$BASE" ] || exit 0
PARTIAL=$BASE.partial
rm -rf --one-file-system "$PARTIAL"
mkdir -p "$DEBS"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PARTIAL DEBS REPO SUITE INCLUDE
mmdebstrap --mode=root --variant=minbase --format=directory --include="$INCLUDE" \
    --skip=download/empty --skip=essential/unlink --skip=cleanup/apt/cache --skip=cleanup/apt/lists \
    --aptopt="$APTCONF" \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='force-unsafe-io' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
    --setup-hook='sync-in '"$DEBS"' /var/cache/apt/archives' \
    --essential-hook='mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"' \
    --customize-hook='chroot "$1" apt-get -y -q --download-only install $REPO' \
    --customize-hook='chroot "$1" apt-get -q autoclean' \
    --customize-hook='chroot "$1" sh -eu -s < "$NEWER"' \
    --customize-hook='rm -rf "$DEBS" && mkdir -p "$DEBS"' \
    --customize-hook='sync-out /var/cache/apt/archives '"$DEBS" \
    --customize-hook='chroot "$1" sh -eu -s < "$FINISH"' \
    "$SUITE" "$PARTIAL" "$SOURCES"
mv -T "$PARTIAL" "$BASE"
