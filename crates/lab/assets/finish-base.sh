# Runs inside the new base image: services off, accounts, and the local apt repository.

# A fresh host of the lab runs ssh and nothing of ours; playbooks start the rest.
for unit in etcd postgresql patroni vip-manager cron; do
    systemctl disable "$unit.service" 2>/dev/null || :
done
systemctl mask getty@.service console-getty.service getty.target systemd-pstore.service \
    systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer remote-fs.target 2>/dev/null
systemctl set-default multi-user.target 2>/dev/null

useradd --create-home --shell /bin/bash --uid 1001 admin
useradd --create-home --shell /bin/bash --uid 1002 --groups sudo dba
useradd --create-home --shell /bin/bash --uid 1003 plain
printf '%s\n' 'root:root-password' 'dba:dba-password' 'plain:plain-password' | chpasswd
echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin
chmod 0440 /etc/sudoers.d/admin

echo 'LANG=C.UTF-8' > /etc/default/locale
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf /etc/hostname /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99mmdebstrap
: > /etc/resolv.conf
echo 'APT::Install-Recommends "false";' > /etc/apt/apt.conf.d/90lab
# Files are written to a throw-away disk: syncing each of them only costs time.
echo 'force-unsafe-io' > /etc/dpkg/dpkg.cfg.d/90lab

repo=/opt/lab-apt
mkdir -p "$repo"
mv /var/cache/apt/archives/*.deb "$repo"
cd "$repo"
for deb in *.deb; do
    dpkg-deb --field "$deb"
    sum=$(sha256sum "$deb")
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "${sum%% *}"
done > Packages
chmod -R u=rwX,go=rX "$repo"
echo "deb [trusted=yes] file:$repo ./" > /etc/apt/sources.list
rm -rf /var/lib/apt/lists/*
apt-get -q update
rm -rf /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
