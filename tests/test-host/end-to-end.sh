#!/bin/sh
# Runs in the test host: test programs that were built on another machine, with the repository and
# Tabard's programs where they are there. end-to-end.sh REPOSITORY PROGRAMS TEST...
root=$1 programs=$2
shift 2
mkdir -p "$(dirname "$root")"
ln -s /repository "$root" || exit 1
mkdir -p "$programs"
ln -s /usr/bin/tabard /usr/bin/tabard-vmm "$programs" || exit 1
failed=0
for test in "$@"; do
    echo "end-to-end.sh: $test"
    # One at a time: the emulated processors are slow.
    "$test" --test-threads 1 || failed=1
done
exit $failed
