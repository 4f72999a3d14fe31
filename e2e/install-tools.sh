#!/bin/sh
# What the end-to-end tests use beyond Go, where it can be installed: network namespaces (iproute2), routers with NAT in them (nftables), mounts (util-linux) and file systems of removable disks. Without them
# the tests that need them are skipped by name.
set -eu
missing=
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || missing="$missing nftables"
command -v setpriv >/dev/null 2>&1 || missing="$missing util-linux"
command -v mkfs.vfat >/dev/null 2>&1 || [ -x /sbin/mkfs.vfat ] || missing="$missing dosfstools"
command -v mkfs.exfat >/dev/null 2>&1 || [ -x /sbin/mkfs.exfat ] || missing="$missing exfatprogs"
command -v mount.exfat-fuse >/dev/null 2>&1 || [ -x /sbin/mount.exfat-fuse ] || missing="$missing exfat-fuse"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "not installed:$missing; the tests that need them are skipped" >&2
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
