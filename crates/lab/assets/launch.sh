# One host's life, from the outside: its network, then the machine, and again after a reboot.
# In (environment): CG, LABNS, HOSTNS, PORT, MAC, NAME, RUN, MACHINE_SH and what machine.sh reads.
set -u
echo $$ > "$CG/launcher/cgroup.procs" || exit 1

unplug() {
    ip -n "$LABNS" link del "$PORT" 2>/dev/null
    ip netns del "$HOSTNS" 2>/dev/null
    :
}

plug() {
    # A new network namespace for every boot: no address, route or rule outlives the power switch.
    ip netns add "$HOSTNS" &&
    ip -n "$LABNS" link add "$PORT" alias "$NAME" type veth peer name eth0 address "$MAC" netns "$HOSTNS" &&
    ip -n "$LABNS" link set "$PORT" master "$(cat "$RUN/bridge")" up &&
    ip -n "$HOSTNS" -batch "$RUN/network"
}

while :; do
    unplug
    plug || { unplug; exit 1; }
    # Not `ip netns exec`: it remounts /sys and hides the cgroup tree from systemd-nspawn.
    nsenter --net="/run/netns/$LABNS" unshare --mount --propagation private sh "$MACHINE_SH"
    rc=$?
    unplug
    # 133 is how systemd-nspawn --keep-unit says that the machine wants to boot again.
    [ "$rc" = 133 ] || exit "$rc"
done
