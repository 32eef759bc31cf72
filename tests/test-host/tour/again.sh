# For scripts with stock guests, in the test host.
#
# QEMU 7.2 leaves an interrupt that it injected noted as an exception (`helper_vmrun`), and delivers
# it again, whatever the guest's flags say, when the emulated processor is kicked before the guest's
# next exit. Linux then waits for a lock that it holds, or faults three times: in 3 of 84, later in 7 of
# 92 starts of a guest. A script in which that is seen is played again, twice at most; no other.

# Says whether the script whose results are in $1 failed because a guest did not come up, or because
# one faulted three times that was not to: only scratch is.
emulator_failed() {
    grep -l TripleFault "$1"/logs/*.messages | grep -qv /scratch.messages && return
    grep -q '<failure message="[^"]*is up' "$1.xml"
}

# again OUT COMMAND...: plays a script; its results are in OUT, its report is OUT.xml.
again() {
    out=$1
    shift
    for try in 1 2 3; do
        "$@" && return
        emulator_failed "$out" || return 1
        rm -rf "$out-$try"
        mv "$out" "$out-$try"
        mv "$out.xml" "$out-$try.xml"
        echo "${out##*/} failed by the emulated processor (try $try of 3)"
    done
    return 1
}
