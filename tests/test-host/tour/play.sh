#!/bin/sh
# Runs in the test host: the scripts of `cargo demo --debian`, their pictures into /repository/tour.
cd "$(dirname "$0")" || exit 1
. ./again.sh
for script in tour sides; do
    out=/repository/tour/$script
    again "$out" tabard test "$script.tabard" --out "$out" --junit "$out.xml" || exit
done
