# One boot of a host, in a mount namespace of its own: every mount made here ends with it.
# In (environment): CG, BASE, DISK, DISK_SIZE, HOSTNS, MACHINE, HOSTNAME, MACHINE_ID, USERS.
set -eu
umask 022
echo $$ > "$CG/machine/cgroup.procs"

# systemd-nspawn should see cgroup v2 and nothing else, whatever this machine mounts.
mount -t cgroup2 none /sys/fs/cgroup
# Its bookkeeping belongs to this namespace, not to the machine.
mkdir -p /run/systemd
mount -t tmpfs -o mode=0755 none /run/systemd

cd "$DISK"
if [ ! -e disk.img ]; then
    rm -f disk.img.new
    truncate -s "$DISK_SIZE" disk.img.new
    # No journal: the kernel below does not crash when a host is killed, so nothing would replay it.
    mkfs.ext4 -q -F -m 0 -O ^has_journal -E lazy_itable_init=1,nodiscard disk.img.new
    mv disk.img.new disk.img
fi
mkdir -p disk root
mount -o loop,noatime disk.img disk
if [ ! -e disk/upper ]; then
    rm -rf disk/upper.new
    mkdir -p disk/work
    cp -a seed disk/upper.new
    mv disk/upper.new disk/upper
fi
mount -t overlay -o "lowerdir=$BASE,upperdir=disk/upper,workdir=disk/work" overlay root

for user in $USERS; do
    [ ! -e "root/home/$user/.ssh/authorized_keys" ] || continue
    chroot root useradd --create-home --shell /bin/bash "$user" 2>/dev/null || :
    chroot root install -d -m 0700 -o "$user" -g "$user" "/home/$user/.ssh"
    chroot root install -m 0600 -o "$user" -g "$user" /root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
    echo "$user ALL=(ALL:ALL) NOPASSWD: ALL" > "root/etc/sudoers.d/lab-$user"
    chmod 0440 "root/etc/sudoers.d/lab-$user"
done

export SYSTEMD_NSPAWN_TMPFS_TMP=0 SYSTEMD_NSPAWN_LOCK=0
exec systemd-nspawn --quiet --boot --register=no --keep-unit \
    --directory="$DISK/root" --machine="$MACHINE" --hostname="$HOSTNAME" --uuid="$MACHINE_ID" \
    --network-namespace-path="/run/netns/$HOSTNS" --capability=CAP_NET_ADMIN,CAP_NET_RAW \
    --rlimit=RLIMIT_NOFILE=1024:524288 \
    --console=pipe --link-journal=no --timezone=off --resolv-conf=off </dev/null
