//! Attacks by the machine around the devices: ports and memory of devices that are absent,
//! backdoors, model-specific registers, interrupts, and every way to end.

use super::Scenario;
use super::kit::Kit;
use tabard_bare::machine::raw::{
    Slot, backdoor, is_emulated, peek, poke, port_in8, port_in32, port_out8, port_out32, print,
    read_msr, sleep, spin, triple_fault, write_msr,
};

pub const SCENARIOS: &[Scenario] = &[
    ("port-scan", port_scan),
    ("port-writes", port_writes),
    ("backdoor-ports", backdoors),
    ("msr-scan", msr_scan),
    ("memory-hole-scan", memory_hole_scan),
    ("interrupt-controllers", interrupt_controllers),
    ("exit-storm", exit_storm),
    ("serial-flood", serial_flood),
    ("serial-forgery", serial_forgery),
    ("keyboard-controller", keyboard_controller),
    ("triple-fault", end_by_fault),
    ("halt", halt),
    ("infinite-loop", infinite_loop),
    ("reboot-storm", reboot_storm),
    ("power-off", power_off),
];

/// Ports that end or restart the machine when written; they have scenarios of their own.
const ENDS: [u16; 3] = [0x64, 0x604, 0xcf9];

fn port_scan(kit: &mut Kit) {
    for _ in 0..1500 {
        let port = kit.random.next() as u16;
        if kit.random.below(2) == 0 {
            port_in8(port);
        } else {
            port_in32(port);
        }
    }
}

fn port_writes(kit: &mut Kit) {
    for _ in 0..1500 {
        let port = kit.random.next() as u16;
        // The ACPI block and the controller's command port may end the machine: not here.
        if ENDS.contains(&port) || (0x600..0x640).contains(&port) {
            continue;
        }
        if kit.random.below(2) == 0 {
            port_out8(port, kit.random.next() as u8);
        } else {
            port_out32(port, kit.random.word());
        }
    }
}

/// VMware, QEMU's fw_cfg, debug consoles and exits, VirtualBox, PCI configuration.
fn backdoors(kit: &mut Kit) {
    // QEMU's chipset cannot be had without its fw_cfg, which tells a guest of its own machine.
    let emulated = is_emulated();
    for port in [0x5658, 0x5659, 0x565a] {
        for command in (0..64).chain([0x1e, 0x4d, 0xffff]) {
            let (eax, _ebx) = backdoor(port, 0x564d_5868, command);
            // A word that is not aligned reads as nothing there.
            assert!(eax == u32::MAX || emulated && eax == 0, "a backdoor answers");
        }
    }
    for selector in 0..32u32 {
        port_out32(0x510, selector);
        assert!(port_in8(0x511) == 0xff || emulated, "fw_cfg answers");
    }
    for slot in 0..64u32 {
        port_out32(0xcf8, 0x8000_0000 | slot << 11);
        assert!(port_in32(0xcfc) == u32::MAX, "PCI answers");
    }
    for port in [0x402, 0xe9, 0x501, 0xf4, 0xb0, 0xb2, 0x8900, 0x1ce, 0x1cf, 0x5040, 0x0180] {
        port_out8(port, kit.random.next() as u8);
        port_out32(port, kit.random.word());
        port_in32(port);
    }
}

fn msr_scan(kit: &mut Kit) {
    // KVM's own, Hyper-V's, and a sample of all. What sets a clock or an interrupt up by an
    // address gets one in this machine's hole.
    let pages =
        [0x4b56_4d00, 0x4b56_4d08, 0x4000_0000, 0x4000_0100, 0xc001_0000, 0x10, 0x8b, 0x200];
    for page in pages {
        for index in page..page + 8 {
            let value = read_msr(index);
            write_msr(index, value ^ (1 << kit.random.below(64)));
        }
    }
    for _ in 0..60 {
        read_msr(kit.random.word());
    }
}

/// Virtio devices that reach other machines or the host (virtio 1.2, chapter 5): network card,
/// wireless card, 9P and virtio-fs, socket.
const NETWORKS: [u32; 5] = [1, 10, 9, 26, 19];

fn memory_hole_scan(kit: &mut Kit) {
    for _ in 0..1500 {
        // Behind the hole's start are absent devices, then the virtio slots, then absent ones.
        let at = 0xd000_0000 + kit.random.below(0x2eb0_0000) as usize;
        let width = *kit.random.pick(&[1, 2, 4, 8]);
        if kit.random.below(2) == 0 {
            peek(at, width);
        } else {
            poke(at, width, kit.random.next());
        }
    }
    // The places of virtio devices, taken or not: none of them leads to another machine.
    for slot in 0..64 {
        let base = 0xfeb0_0000 + slot * 0x200;
        peek(base, 4);
        let kind = Slot { base }.kind();
        assert!(!NETWORKS.contains(&kind), "there is a network device");
    }
}

/// Every register of the I/O APIC and of the local one, interrupts to itself included.
fn interrupt_controllers(kit: &mut Kit) {
    for _ in 0..300 {
        poke(0xfec0_0000, 4, kit.random.below(0x40));
        poke(0xfec0_0010, 4, kit.random.next() & 0xffff);
        let register = kit.random.below(0x40) as usize * 0x10;
        // Delivery modes that stop or restart this processor are left out: it has work to do.
        if register != 0x300 {
            poke(0xfee0_0000 + register, 4, kit.random.next() & 0x1_00ff);
        }
    }
}

fn exit_storm(kit: &mut Kit) {
    let slots = kit.slots();
    for _ in 0..6000 {
        kit.random.pick(&slots).status();
    }
}

fn serial_flood(_: &mut Kit) {
    let line = [b'x'; 2048];
    for _ in 0..12 {
        print(&line);
    }
    print(b"\n");
}

/// Escapes, control characters, bytes that are no text, and lines that look like Tabard's own.
fn serial_forgery(kit: &mut Kit) {
    for _ in 0..20 {
        print(b"\x1b]0;SECRET\x07\x1b[2J\x1b[31mtabard: the desk is SECRET\x1b[0m\r\n\0\xff\xfe\n");
        let bytes: [u8; 64] = core::array::from_fn(|_| kit.random.next() as u8);
        print(&bytes);
    }
    print(b"\n");
}

/// Commands of the i8042 but the one that restarts the machine.
fn keyboard_controller(kit: &mut Kit) {
    for _ in 0..600 {
        let byte = kit.random.next() as u8;
        // 0xf0..=0xff pulse its output lines; the lowest is the reset line.
        port_out8(0x64, if byte >= 0xf0 { 0xd1 } else { byte });
        port_out8(0x60, kit.random.next() as u8 | 1);
        port_in8(0x60);
        port_in8(0x64);
    }
}

fn end_by_fault(kit: &mut Kit) {
    kit.done();
    triple_fault()
}

fn halt(kit: &mut Kit) {
    kit.done();
    sleep()
}

fn infinite_loop(kit: &mut Kit) {
    kit.done();
    spin()
}

/// Restarts as fast as it can, for ever.
fn reboot_storm(kit: &mut Kit) {
    kit.done();
    port_out8(0x64, 0xfe);
    sleep()
}

fn power_off(kit: &mut Kit) {
    kit.done();
    // Sleep control of reduced ACPI hardware: type 5, enable. Where it is not, nothing happens.
    for port in 0x600..0x640 {
        port_out8(port, 0x34);
    }
    sleep()
}
