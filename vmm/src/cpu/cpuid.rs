//! What a guest may know of its processor: a list of what it may, so that what a newer KVM or
//! processor offers stays unknown until someone has thought about it.
//!
//! Left out on purpose: virtualization of its own (VMX, SVM and nested paging, SEV), counters and
//! traces of any kind, which tell of others (performance monitoring, APERF, RDPRU, IBS, PT, LBR,
//! cache monitoring), enclaves, AMX, transactions, MONITOR and WAITPKG, user interrupts, key locker,
//! five-level paging, power and frequency, hybrid cores. Bits are those of the Intel SDM, volume 2A,
//! `CPUID`, and of the AMD APM, volume 3, appendix E.

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// A leaf, its subleaf (`None`: each), and what may be seen of EAX, EBX, ECX and EDX.
type Leaf = (u32, Option<u32>, [u32; 4]);

const ALL: u32 = u32::MAX;
/// Family, model and stepping, cache lines, SSE to SSE4.2, AES, FMA, AVX, F16C, PCID, x2APIC, RDRAND,
/// and of the oldest features all but serial number, debug store, and thermal control.
const VERSION: [u32; 4] = [
    ALL,
    0xffff,
    bits(&[0, 1, 9, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]),
    0x1f8b_fbff,
];
/// EBX: FSGSBASE, BMI, AVX2, SMEP, SMAP, AVX-512, SHA and the like. ECX: UMIP, PKU, shadow stacks,
/// GFNI, VAES, RDPID, MOVDIR. EDX: FSRM, SERIALIZE, IBT, AVX512-FP16, and what mends speculation.
const EXTENDED: [u32; 4] = [
    ALL,
    bits(&[0, 1, 3, 5, 6, 7, 8, 9, 10, 13, 16, 17, 18, 19, 20, 21, 23, 24, 26, 27, 28, 29, 30, 31]),
    bits(&[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 22, 25, 27, 28]),
    bits(&[2, 3, 4, 8, 10, 14, 20, 23, 26, 27, 28, 29, 31]),
];
/// SHA-512, SM3, SM4, AVX-VNNI, AVX512-BF16, AVX-IFMA, CMPccXADD, fast short strings.
const EXTENDED_1: [u32; 4] =
    [bits(&[0, 1, 2, 4, 5, 7, 10, 11, 12, 23]), 0, 0, bits(&[4, 5, 10, 14])];
/// State of x87, SSE, AVX, AVX-512 and protection keys.
const STATE: u32 = bits(&[0, 1, 2, 5, 6, 7, 9]);
/// Of shadow stacks, for user and supervisor.
const SUPERVISOR_STATE: u32 = bits(&[11, 12]);
/// ECX: LAHF, AltMovCr8, ABM, SSE4a, XOP, FMA4, TBM, TOPOEXT and the like. EDX: SYSCALL, NX, 1 GiB
/// pages, RDTSCP, long mode and what it repeats of leaf 1.
const AMD_VERSION: [u32; 4] = [
    ALL,
    0,
    bits(&[0, 1, 4, 5, 6, 7, 8, 9, 11, 16, 21, 22]),
    0x0183_f3ff | bits(&[11, 20, 22, 25, 26, 27, 29, 30, 31]),
];
/// Widths of addresses, CLZERO, XSAVEERPTR, WBNOINVD, and what mends speculation.
const AMD_WIDTHS: [u32; 4] =
    [0xffff, bits(&[0, 2, 9, 12, 14, 15, 16, 17, 18, 19, 24, 25, 26, 28, 29, 30]), 0, 0];
/// LFENCE that orders, automatic IBRS, and the like.
const AMD_MORE: [u32; 4] = [bits(&[0, 1, 2, 5, 6, 8, 20, 27, 28, 29, 30]), 0, bits(&[1, 2]), 0];
/// Of KVM (`Documentation/virt/kvm/x86/cpuid.rst`): its clock, that ports need no delay, how to wait
/// for a lock and to interrupt several processors at once. The rest are pages that KVM and guest both
/// write. Steal time tells how busy others are; after an interrupt that is ended in such a page (PV
/// EOI), the emulated SVM of QEMU 7.2 delivers it again when the host is interrupted before the
/// guest's next exit, and Linux then waits for itself.
const KVM_FEATURES: u32 = bits(&[0, 1, 3, 7, 11, 24]);

/// All that a guest may know. Topology (0xb, 0x8000_001e) is not taken from KVM but made.
const LEAVES: &[Leaf] = &[
    (0, None, [ALL; 4]),
    (1, None, VERSION),
    // Intel's caches, by code numbers and by parameters.
    (2, None, [ALL; 4]),
    (4, None, [ALL; 4]),
    // The timer of the local APIC never stops.
    (6, None, [1 << 2, 0, 0, 0]),
    (7, Some(0), EXTENDED),
    (7, Some(1), EXTENDED_1),
    // Ways to mend speculation.
    (7, Some(2), [0, 0, 0, 0x3f]),
    (0xd, Some(0), [STATE, ALL, ALL, 0]),
    // XSAVEOPT, XSAVEC, XGETBV with ECX 1, XSAVES.
    (0xd, Some(1), [0xf, ALL, SUPERVISOR_STATE, 0]),
    (0xd, Some(2), [ALL; 4]),
    (0xd, Some(5), [ALL; 4]),
    (0xd, Some(6), [ALL; 4]),
    (0xd, Some(7), [ALL; 4]),
    (0xd, Some(9), [ALL; 4]),
    (0xd, Some(11), [ALL; 4]),
    (0xd, Some(12), [ALL; 4]),
    (0x4000_0000, None, [ALL; 4]),
    (0x4000_0001, None, [KVM_FEATURES, 0, 0, 0]),
    (0x8000_0000, None, [ALL; 4]),
    (0x8000_0001, None, AMD_VERSION),
    // The name.
    (0x8000_0002, None, [ALL; 4]),
    (0x8000_0003, None, [ALL; 4]),
    (0x8000_0004, None, [ALL; 4]),
    // AMD's caches, as leaf 2.
    (0x8000_0005, None, [ALL; 4]),
    (0x8000_0006, None, [ALL; 4]),
    // The time-stamp counter never stops.
    (0x8000_0007, None, [0, 0, 0, 1 << 8]),
    (0x8000_0008, None, AMD_WIDTHS),
    // AMD's caches, as leaf 4.
    (0x8000_001d, None, [ALL; 4]),
    (0x8000_0021, None, AMD_MORE),
];

const fn bits(list: &[u32]) -> u32 {
    match list {
        [] => 0,
        [bit, rest @ ..] => 1u32.wrapping_shl(*bit) | bits(rest),
    }
}

/// Vendors whose topology is AMD's: the first letters of `AuthenticAMD` and `HygonGenuine`.
const AMD: [u32; 2] = [u32::from_le_bytes(*b"Auth"), u32::from_le_bytes(*b"Hygo")];

/// Processor `index` of `count`, each a core with one thread, all in one socket: what KVM offers,
/// as far as a guest may know it. `deadline_timer` is whether KVM has one, which it says elsewhere.
pub(super) fn table(
    supported: &[kvm_cpuid_entry2],
    index: u8,
    count: u8,
    deadline_timer: bool,
) -> Vec<kvm_cpuid_entry2> {
    let (id, count) = (u32::from(index), u32::from(count));
    let id_bits = count.next_power_of_two().trailing_zeros();
    let amd = supported.iter().any(|leaf| leaf.function == 0 && AMD.contains(&leaf.ebx));
    let mut known: Vec<_> = supported.iter().filter_map(allowed).collect();
    let state_bytes = state_bytes(&known);
    for leaf in &mut known {
        match (leaf.function, leaf.index) {
            (1, _) => {
                leaf.ebx |= id << 24 | count << 16;
                // The guest is told that it is one.
                leaf.ecx |= 1 << 31 | u32::from(deadline_timer) << 24;
                leaf.edx = leaf.edx & !(1 << 28) | u32::from(count > 1) << 28;
            }
            (4 | 0x8000_001d, _) if leaf.eax & 0x1f != 0 => share_cache(leaf, id_bits),
            (0xd, 0) => leaf.ecx = state_bytes,
            // What leaf 1 counts are cores.
            (0x8000_0001, _) => leaf.ecx = leaf.ecx & !2 | u32::from(amd && count > 1) << 1,
            (0x8000_0008, _) if amd => leaf.ecx = count.saturating_sub(1) | id_bits << 12,
            _ => {}
        }
    }
    let made = |function, index, [eax, ebx, ecx, edx]: [u32; 4]| kvm_cpuid_entry2 {
        function,
        index,
        flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax,
        ebx,
        ecx,
        edx,
        ..Default::default()
    };
    // Threads of a core, cores of the socket, the end of the list.
    known.push(made(0xb, 0, [0, 1, 0x100, id]));
    known.push(made(0xb, 1, [id_bits, count, 0x201, id]));
    known.push(made(0xb, 2, [0, 0, 2, id]));
    if amd {
        // Core `id` with one thread, on the only node.
        known.push(kvm_cpuid_entry2 { flags: 0, ..made(0x8000_001e, 0, [id, id, 0, 0]) });
    }
    known.retain(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx] != [0; 4]);
    // The three ranges begin with their last leaf.
    let leaves: Vec<u32> = known.iter().map(|leaf| leaf.function).collect();
    for leaf in known.iter_mut().filter(|leaf| leaf.function << 2 == 0) {
        let same = |other: &&u32| **other >> 30 == leaf.function >> 30;
        leaf.eax = leaves.iter().filter(same).max().copied().unwrap_or(leaf.function);
    }
    known
}

/// What a guest may know of a leaf, if anything.
fn allowed(leaf: &kvm_cpuid_entry2) -> Option<kvm_cpuid_entry2> {
    let of = |(function, index, _): &&Leaf| {
        *function == leaf.function && index.is_none_or(|index| index == leaf.index)
    };
    let (_, _, [eax, ebx, ecx, edx]) = LEAVES.iter().find(of)?;
    let (eax, ebx) = (leaf.eax & eax, leaf.ebx & ebx);
    Some(kvm_cpuid_entry2 { eax, ebx, ecx: leaf.ecx & ecx, edx: leaf.edx & edx, ..*leaf })
}

/// Who shares a cache (EAX bits 5 to 7 its level, 14 to 25 the sharers but one): the first two levels
/// are a core's, the others everybody's. Intel's leaf says besides, from bit 26, how many cores
/// there are but one.
fn share_cache(leaf: &mut kvm_cpuid_entry2, id_bits: u32) {
    let sharers = if leaf.eax >> 5 & 7 > 2 { below(id_bits) } else { 0 };
    let cores = if leaf.function == 4 { below(id_bits) } else { 0 };
    leaf.eax = leaf.eax & 0x3fff | sharers << 14 | cores << 26;
}

/// The largest number of so many bits.
fn below(bits: u32) -> u32 {
    1u32.wrapping_shl(bits).wrapping_sub(1)
}

/// Bytes of an XSAVE area in standard form with all that may be enabled in XCR0: legacy region and
/// header, then each component at its place.
fn state_bytes(known: &[kvm_cpuid_entry2]) -> u32 {
    let components = known.iter().filter(|leaf| {
        leaf.function == 0xd
            && leaf.index > 1
            && 1u32.checked_shl(leaf.index).unwrap_or(0) & STATE != 0
    });
    components.map(|leaf| leaf.ebx.saturating_add(leaf.eax)).fold(576, u32::max)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every leaf that there might be, with every bit: of an Intel or AMD processor.
    fn everything(vendor: &[u8; 4]) -> Vec<kvm_cpuid_entry2> {
        let functions = (0..0x30).chain(0x4000_0000..0x4000_0110).chain(0x8000_0000..0x8000_0030);
        let leaves = functions.flat_map(|function| (0..20).map(move |index| (function, index)));
        let mut all: Vec<_> = leaves
            .map(|(function, index)| kvm_cpuid_entry2 {
                function,
                index,
                eax: ALL,
                ebx: ALL,
                ecx: ALL,
                edx: ALL,
                ..Default::default()
            })
            .collect();
        all[0].ebx = u32::from_le_bytes(*vendor);
        all
    }

    fn of_kvm() -> Option<Vec<kvm_cpuid_entry2>> {
        // What only has the name of KVM knows no version of its interface.
        let kvm = kvm_ioctls::Kvm::new().ok().filter(|kvm| kvm.get_api_version() > 0)?;
        Some(
            kvm.get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES)
                .unwrap()
                .as_slice()
                .to_vec(),
        )
    }

    fn find(table: &[kvm_cpuid_entry2], function: u32, index: u32) -> [u32; 4] {
        let leaf = table.iter().find(|leaf| (leaf.function, leaf.index) == (function, index));
        leaf.map_or([0; 4], |leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
    }

    #[test]
    fn what_is_not_listed_is_not_there() {
        for supported in [Some(everything(b"Genu")), Some(everything(b"Auth")), of_kvm()] {
            let Some(supported) = supported else { continue };
            let table = table(&supported, 0, 4, true);
            let listed: BTreeSet<u32> =
                LEAVES.iter().map(|(function, ..)| *function).chain([0xb, 0x8000_001e]).collect();
            assert!(table.iter().all(|leaf| listed.contains(&leaf.function)));
            let [_, _, ecx, edx] = find(&table, 1, 0);
            // DTES64, MONITOR, VMX, SMX, SpeedStep, performance capabilities; debug store.
            assert_eq!((ecx & 0x80fc, edx & (1 << 21)), (0, 0));
            let [_, ebx, ecx, edx] = find(&table, 7, 0);
            // SGX, transactions, cache monitoring, PT; WAITPKG, LA57, key locker; AMX, LBR.
            assert_eq!((ebx & 0x0200_9814, ecx & 0x0081_0020), (0, 0));
            assert_eq!(edx & (1 << 5 | 1 << 19 | 1 << 22 | 1 << 24 | 1 << 25), 0);
            assert_eq!(find(&table, 0xd, 0)[0] & (3 << 17), 0);
            let [_, _, ecx, _] = find(&table, 0x8000_0001, 0);
            // SVM, IBS, SKINIT, LWP, counters, MWAITX.
            assert_eq!(ecx & 0x3b80_9404, 0);
            let [_, ebx, ..] = find(&table, 0x8000_0008, 0);
            assert_eq!(ebx & (1 << 1 | 1 << 4), 0, "counters by INSTRET and RDPRU");
            let [eax, _, _, edx] = find(&table, 0x4000_0001, 0);
            // Asynchronous page faults, steal time, PV EOI, and a promise that nobody preempts.
            assert_eq!((eax & (1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 14), edx), (0, 0));
        }
    }

    #[test]
    fn what_linux_lives_on_stays() {
        let table = table(&everything(b"Auth"), 0, 1, true);
        let [_, _, ecx, edx] = find(&table, 1, 0);
        let (avx, x2apic, hypervisor, fxsr_and_sse2) = (1 << 28, 1 << 21, 1 << 31, 5 << 24);
        assert_eq!(ecx & (avx | x2apic | hypervisor), avx | x2apic | hypervisor);
        assert_eq!(edx & fxsr_and_sse2, fxsr_and_sse2);
        let (avx2, avx512) = (1 << 5, 1 << 16);
        assert_eq!(find(&table, 7, 0)[1] & (avx2 | avx512), avx2 | avx512);
        let (long_mode, no_execute) = (1 << 29, 1 << 20);
        assert_eq!(
            find(&table, 0x8000_0001, 0)[3] & (long_mode | no_execute),
            long_mode | no_execute
        );
    }

    #[test]
    fn each_range_begins_with_its_last_leaf() {
        let table = table(&everything(b"Auth"), 0, 2, true);
        let last = [0, 0x4000_0000, 0x8000_0000].map(|first| find(&table, first, 0)[0]);
        assert_eq!(last, [0xd, 0x4000_0001, 0x8000_0021]);
    }

    #[test]
    fn four_processors_are_four_cores_of_one_socket() {
        for (vendor, amd) in [(b"Genu", false), (b"Auth", true)] {
            for id in 0..4u32 {
                let table = table(&everything(vendor), id as u8, 4, true);
                assert_eq!(find(&table, 1, 0)[1] >> 16, id << 8 | 4);
                assert_eq!(find(&table, 0xb, 0), [0, 1, 0x100, id]);
                assert_eq!(find(&table, 0xb, 1), [2, 4, 0x201, id]);
                assert_eq!(find(&table, 0xb, 2), [0, 0, 2, id]);
                let amds = [2, 3 | 2 << 12, id, id];
                let found = [
                    find(&table, 0x8000_0001, 0)[2] & 2,
                    find(&table, 0x8000_0008, 0)[2],
                    find(&table, 0x8000_001e, 0)[0],
                    find(&table, 0x8000_001e, 0)[1],
                ];
                assert_eq!(found, if amd { amds } else { [0; 4] });
            }
        }
    }

    #[test]
    fn caches_are_the_guests() {
        // A data cache of level 1 and a unified one of level 3, each of 16 threads of a host.
        let leaf =
            |function, index, eax| kvm_cpuid_entry2 { function, index, eax, ..Default::default() };
        let hosts = 15 << 14 | 31 << 26;
        let mut supported = Vec::new();
        for function in [4, 0x8000_001d] {
            supported.extend([leaf(function, 0, 0x21 | hosts), leaf(function, 1, 0x63 | hosts)]);
            supported.push(leaf(function, 2, 0));
        }
        let table = table(&supported, 1, 3, true);
        assert_eq!(find(&table, 4, 0)[0], 0x21 | 3 << 26);
        assert_eq!(find(&table, 4, 1)[0], 0x63 | 3 << 14 | 3 << 26);
        assert_eq!(find(&table, 4, 2)[0], 0);
        assert_eq!(find(&table, 0x8000_001d, 0)[0], 0x21);
        assert_eq!(find(&table, 0x8000_001d, 1)[0], 0x63 | 3 << 14);
    }

    #[test]
    fn the_size_of_all_state_is_without_what_was_left_out() {
        let leaf = |index, eax, ebx| kvm_cpuid_entry2 {
            function: 0xd,
            index,
            eax,
            ebx,
            ..Default::default()
        };
        // x87, SSE, AVX, AVX-512, protection keys and the two components of AMX.
        let supported = [
            kvm_cpuid_entry2 { ecx: 11_008, ..leaf(0, 0x602e7, 576) },
            leaf(2, 256, 576),
            leaf(5, 64, 1088),
            leaf(6, 512, 1152),
            leaf(7, 1024, 1664),
            leaf(9, 8, 2688),
            leaf(17, 64, 2752),
            leaf(18, 8192, 2816),
        ];
        let table = table(&supported, 0, 1, true);
        assert_eq!(find(&table, 0xd, 0), [0x2e7, 576, 2696, 0]);
        assert_eq!(find(&table, 0xd, 18), [0; 4]);
    }

    #[test]
    fn kvm_takes_the_table() {
        let Some(supported) = of_kvm() else { return };
        let vm = kvm_ioctls::Kvm::new().unwrap().create_vm().unwrap();
        vm.create_irq_chip().unwrap();
        for id in 0..4 {
            let vcpu = vm.create_vcpu(id.into()).unwrap();
            let ours = table(&supported, id, 4, true);
            vcpu.set_cpuid2(&kvm_bindings::CpuId::from_entries(&ours).unwrap()).unwrap();
            let kept = vcpu.get_cpuid2(kvm_bindings::KVM_MAX_CPUID_ENTRIES).unwrap();
            assert_eq!(find(kept.as_slice(), 0xb, 1), [2, 4, 0x201, id.into()]);
            assert_eq!(kept.as_slice().len(), ours.len());
        }
    }
}
