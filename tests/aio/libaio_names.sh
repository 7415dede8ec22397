#!/bin/sh
# SPDX-License-Identifier: MIT
# The shim exports what the distribution's libaio.so.1 exports, names and versions, and nothing else.
set -eu
names() {
	nm -D --defined-only --with-symbol-versions "$1" | awk '$2 == "T" { print $3 }' | sort
}
for system in /usr/lib/*/libaio.so.1 /usr/lib64/libaio.so.1 /usr/lib/libaio.so.1; do
	[ -e "$system" ] || continue
	ours=$(names "$1")
	theirs=$(names "$system")
	[ "$ours" = "$theirs" ] && exit 0
	echo "exported:"; echo "$ours"
	echo "$system exports:"; echo "$theirs"
	exit 1
done
echo "no libaio.so.1 to compare with"
exit 77
