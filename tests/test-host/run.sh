#!/bin/sh
# Runs in the test host: every script of this folder, its pictures into /repository/scenarios. The
# status is that of the last script that failed.
cd "$(dirname "$0")" || exit 1
failed=0
truncate -s 4M archive.img
# A disk of whole sectors; the shell stops at its `exit` before what fills the last one up.
dd if=tools.sh of=tools.img bs=512 conv=sync 2>/dev/null
for script in *.tabard; do
    out="/repository/scenarios/${script%.tabard}"
    tabard test "$script" --out "$out" --junit "$out.xml" || failed=$?
done
rm -f archive.img tools.img
exit "$failed"
