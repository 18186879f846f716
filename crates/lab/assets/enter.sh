# Runs a command of this machine inside a lab's network, with the lab's names and ssh settings.
# In (environment): QUORATE_LAB_CG, QUORATE_LAB_RUN. The mounts live in a namespace of this command only.
{ echo $$ > "$QUORATE_LAB_CG/exec/cgroup.procs"; } 2>/dev/null
mount --bind "$QUORATE_LAB_RUN/hosts" /etc/hosts || exit 1
mount --bind "$QUORATE_LAB_RUN/resolv.conf" /etc/resolv.conf 2>/dev/null
[ ! -e /etc/ssh/ssh_config ] || mount --bind "$QUORATE_LAB_RUN/ssh_config" /etc/ssh/ssh_config || exit 1
# what people's own configuration says of the real hosts (jump hosts, keys) is not true here
[ ! -e "$HOME/.ssh/config" ] || mount --bind "$QUORATE_LAB_RUN/ssh_config" "$HOME/.ssh/config" || exit 1
unset QUORATE_LAB_CG
exec "$@"
