#!/bin/sh
# SPDX-License-Identifier: MIT
# The shim exports what the distribution's libaio.so.1 exports, names and versions, and nothing else but
# what libasys-syscall.so needs of it, under a version that no program asks for.
set -eu
names() {
	nm -D --defined-only --with-symbol-versions "$1" |
		awk '$2 == "T" && $3 !~ /@ASYS_PRIVATE$/ { print $3 }' | sort
}
private=$(nm -D --defined-only --with-symbol-versions "$1" |
	awk '$2 != "A" && $3 ~ /ASYS_PRIVATE/ { print $3 }' | sort | tr '\n' ' ')
wanted=""
for name in asys_aio_busy asys_aio_finish asys_aio_let_go asys_aio_unmaps; do
	wanted="$wanted$name@@ASYS_PRIVATE "
done
if [ "$private" != "$wanted" ]; then
	echo "private names: $private"
	exit 1
fi
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
