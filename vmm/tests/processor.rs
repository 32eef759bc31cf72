//! What a guest learns of its processor, from inside.

mod common;

use common::Vmm;
use tabard_wire::{FromVmm, ToVmm};

/// A probe that tells of its processor, on a machine with so many.
fn told(vcpus: u8) -> Vmm {
    let mut vmm = Vmm::spawn();
    vmm.command_line = "cpu=1".to_owned();
    vmm.set_up(tabard_guests::builtin("probe").unwrap().elf, 64, vcpus);
    vmm.send(ToVmm::Load);
    vmm.expect(FromVmm::Loaded);
    vmm.send(ToVmm::Boot);
    vmm.wait_for_line("\"processor\":\"told\"", 1);
    vmm
}

/// A leaf at a privilege level.
fn leaf(vmm: &mut Vmm, leaf: u32, index: u32, level: u8) -> [u32; 4] {
    let line = vmm.wait_for_line(&format!("\"{leaf:08x}.{index}\",\"level\":{level}"), 1);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let words: Vec<u32> = line["is"]
        .as_str()
        .unwrap()
        .split(' ')
        .map(|word| u32::from_str_radix(word, 16).unwrap())
        .collect();
    words.try_into().unwrap()
}

/// The levels at which CPUID is the table. Under kvm_pvm, CPL 3 runs on the host's processor itself,
/// which answers there (and kvm_pvm adds what it answers of leaves 1, 7 and 0xd to any table, so that
/// CPL 0 hears the same); VT-x and SVM stop at the instruction wherever it is.
fn levels() -> &'static [u8] {
    if std::path::Path::new("/sys/module/kvm_pvm").exists() { &[0] } else { &[0, 3] }
}

#[test]
fn four_processors_are_four_cores_of_one_socket() {
    let mut vmm = told(4);
    for level in levels() {
        assert_eq!(leaf(&mut vmm, 1, 0, *level)[1] >> 16, 4);
        assert_eq!(leaf(&mut vmm, 0xb, 0, *level), [0, 1, 0x100, 0]);
        assert_eq!(leaf(&mut vmm, 0xb, 1, *level), [2, 4, 0x201, 0]);
        assert_eq!(leaf(&mut vmm, 0xb, 2, *level), [0, 0, 2, 0]);
        for (function, cores) in [(4, 0x0c00_0000), (0x8000_001d, 0)] {
            for index in 0..4 {
                let [eax, ..] = leaf(&mut vmm, function, index, *level);
                let sharers = if eax >> 5 & 7 > 2 { 3 << 14 } else { 0 };
                let expected = if eax & 0x1f == 0 { 0 } else { sharers | cores };
                assert_eq!(eax & 0xffff_c000, expected, "cache {index}");
            }
        }
    }
    vmm.quit();
}

#[test]
fn a_guest_is_told_of_nothing_that_tells_of_others() {
    let mut vmm = told(1);
    for level in levels() {
        // Counters, SGX, PT, AMX, other topologies, more counters, SVM and nested paging, IBS, SEV, counters.
        let absent = [0xa, 0x12, 0x14, 0x1d, 0x1f, 0x23];
        let absent_of_amd = [0x8000_000a, 0x8000_001b, 0x8000_001f, 0x8000_0022, 0x8000_0026];
        let [last, ..] = leaf(&mut vmm, 0, 0, *level);
        assert_eq!(last, 0xd);
        let [last_of_amd, ..] = leaf(&mut vmm, 0x8000_0000, 0, *level);
        // Beyond the last leaf, an Intel processor repeats another.
        let absent = absent.into_iter().filter(|leaf| *leaf <= last);
        for function in absent.chain(absent_of_amd.into_iter().filter(|leaf| *leaf <= last_of_amd))
        {
            assert_eq!(leaf(&mut vmm, function, 0, *level), [0; 4], "{function:#x}");
        }
        let vmx = leaf(&mut vmm, 1, 0, *level)[2] & 1 << 5;
        let svm = leaf(&mut vmm, 0x8000_0001, 0, *level)[2] & 1 << 2;
        let amx = leaf(&mut vmm, 0xd, 0, *level)[0] & 3 << 17;
        let steal_time = leaf(&mut vmm, 0x4000_0001, 0, *level)[0] & 1 << 5;
        assert_eq!([vmx, svm, amx, steal_time], [0; 4]);
    }
    vmm.quit();
}

#[test]
fn on_kvm_pages_of_kvm_that_are_not_offered_cannot_be_had_by_their_number() {
    let mut vmm = told(1);
    // The clock is; pages for faults, steal time, ends of interrupts, faults again are not.
    for (register, offered) in
        [(1, true), (2, false), (3, false), (4, false), (6, false), (7, false)]
    {
        let line = format!("\"4b564d0{register}\",\"written\":{offered}}}");
        vmm.wait_for_line(&line, 1);
    }
    vmm.quit();
}
