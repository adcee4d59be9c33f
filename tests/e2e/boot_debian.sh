#!/bin/sh
# boot_debian.sh TREE SOURCE TARGET [INIT...]: becomes the first process of a machine whose root is TREE, with SOURCE at
# TARGET in it. It has the network of this machine, and all else of its own. `unshare` runs it, in new namespaces.
set -eu
tree=$1 source=$2 target=$3
shift 3

mount --make-rprivate /
mount --bind "$tree" "$tree"
mkdir -p "$tree$target"
mount --bind "$source" "$tree$target"
mount -t proc -o nosuid,nodev,noexec proc "$tree/proc"
mount --bind "$tree/proc/sys" "$tree/proc/sys"
mount -o remount,bind,ro "$tree/proc/sys"
mount -t sysfs -o ro sysfs "$tree/sys"
mount -t cgroup2 cgroup2 "$tree/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
mount -t tmpfs tmpfs "$tree/tmp"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
for device in null zero full random urandom tty; do
    touch "$tree/dev/$device"
    mount --bind "/dev/$device" "$tree/dev/$device"
done
ln -s /proc/self/fd "$tree/dev/fd"
mkdir "$tree/dev/shm" "$tree/dev/pts"
mount -t tmpfs tmpfs "$tree/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$tree/dev/pts"
ln -s pts/ptmx "$tree/dev/ptmx"
hostname debian

cd "$tree"
pivot_root . mnt
umount -l mnt
mount --make-rshared /  # systemd has mounts of its own appear in those of its units
# What a machine of its own needs, and nothing with which it could reach this one's clock, kernel or disks.
exec setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-syslog,-mknod,-mac_admin,-mac_override \
    env -i container=test PATH=/usr/sbin:/usr/bin "$@"
