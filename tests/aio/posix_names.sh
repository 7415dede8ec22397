#!/bin/sh
# SPDX-License-Identifier: MIT
# posix_names.sh LIBRARY CPU: the library exports what glibc has, under its versions, and nothing else.
set -eu
case $2 in
x86_64) old=GLIBC_2.2.5 new=GLIBC_2.11 list="GLIBC_2.2.5 GLIBC_2.4 GLIBC_2.34" ;;
aarch64) old=GLIBC_2.17 new=GLIBC_2.17 list="GLIBC_2.17 GLIBC_2.34" ;;
*) exit 77 ;;
esac
wanted=$(
	for name in _Exit _exit execl execle execlp execv execve execvp fexecve; do
		echo "$name $old"
	done
	echo "execvpe $new"
	for version in $old GLIBC_2.34; do
		echo "aio_init $version"
		for name in cancel error fsync read return suspend write; do
			echo "aio_$name $version"
			echo "aio_${name}64 $version"
		done
	done
	for version in $list; do
		echo "lio_listio $version"
		echo "lio_listio64 $version"
	done
)
found=$(nm -D --defined-only --with-symbol-versions "$1" | awk '$2 != "A" { sub("@+", " ", $3); print $3 }')
wanted=$(echo "$wanted" | sort)
found=$(echo "$found" | sort)
if [ "$wanted" != "$found" ]; then
	printf 'wanted:\n%s\nfound:\n%s\n' "$wanted" "$found" >&2
	exit 1
fi
