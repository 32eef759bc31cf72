#!/bin/sh
# Runs in the test host: every script of this folder, its pictures into /repository/scenarios. The
# status is that of the last script that failed.
cd "$(dirname "$0")" || exit 1
failed=0
truncate -s 4M archive.img
for script in *.tabard; do
    out="/repository/scenarios/${script%.tabard}"
    tabard test "$script" --out "$out" --junit "$out.xml" || failed=$?
done
rm -f archive.img
exit "$failed"
