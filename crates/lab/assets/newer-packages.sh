# Runs inside the image being built: packages that its own suite has not, or has too old, from the next one.
#
# Debian 12's vip-manager speaks only etcd's v2 API; Debian 13's vip-manager2 (which needs nothing newer than
# Debian 12's C library) speaks v3, as Patroni here does. Where the next suite cannot be reached, the image is
# built without it, and says so in the log.
[ "$SUITE" = bookworm ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/parts"
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed -n 's/ bookworm / trixie /p' >"$work/next.list"
newer() {
    apt-get -q -o Dir::Etc::sourcelist="$work/next.list" -o Dir::Etc::sourceparts="$work/parts" \
        -o Dir::State::lists="$work/lists" -o APT::Sandbox::User=root "$@"
}
cd /var/cache/apt/archives
# the ordinary package cache must not be mixed with that of the other lists
rm -f /var/cache/apt/*.bin
if newer update && newer download vip-manager2; then
    rm -f /var/cache/apt/*.bin
    case $INCLUDE in
    *patroni*) dpkg -i /var/cache/apt/archives/vip-manager2_*.deb ;;
    esac
else
    echo "W: vip-manager2 cannot be had from the next suite; the image is built without it"
fi
