//! QEMU's command line: a `microvm` with our firmware, our memory and our devices, and nothing
//! else. It names no file but QEMU's own folders: everything comes as a descriptor.

use std::os::fd::RawFd;
use std::path::Path;

use super::order::Order;
use crate::acpi;

/// Virtio slots that the first I/O APIC has pins for, from 16 up.
pub const FIRST_SLOTS: usize = 8;

/// Cache for translated code in MiB: a desktop fills some hundred, and QEMU would take a
/// gigabyte. Pages are taken when they are used.
const TRANSLATED_MIB: u32 = 256;

/// The processor: what distributions of today ask for (x86-64-v2), and nothing that makes a kernel
/// try instructions which an emulator is slow at. A guest must not find nested virtualization.
const PROCESSOR: &str = "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+rdrand,+rdseed,+x2apic,\
    +fsgsbase,+smep,+smap,+umip,+erms";

/// Our devices in the first slots: QEMU's word for the type, the name of its socket and of itself, and
/// how many rings it has.
pub const OWN: [(&str, &str, u8); 4] =
    [("gpu", "gpu", 2), ("input", "keyboard", 2), ("input", "pointer", 2), ("rng", "rng", 1)];

/// The descriptors of one machine, by QEMU's numbers.
#[derive(Debug, Clone)]
pub struct Descriptors {
    /// The memory.
    pub memory: RawFd,
    /// The firmware.
    pub rom: RawFd,
    /// Where it writes of resets.
    pub log: RawFd,
    /// Where its state is written and read; no argument names it.
    pub state: RawFd,
    /// Those that every machine has, in their order, then one for each volume.
    pub sockets: Vec<RawFd>,
}

/// The arguments.
#[must_use]
pub fn arguments(order: &Order, fds: &Descriptors, folder: Option<&Path>) -> Vec<String> {
    let Order { memory_mib, vcpus, volumes, gpu, posed } = *order;
    let devices = 5usize.saturating_add(volumes.into());
    let second = if devices > FIRST_SLOTS { "on" } else { "off" };
    let mut line: Vec<String> = Vec::new();
    let mut say = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
    say(&[
        "-name",
        "guest",
        "-no-user-config",
        "-nodefaults",
        "-machine",
        &format!(
            "microvm,acpi=on,memory-backend=ram,pcie=off,usb=off,pic=on,pit=on,rtc=on,\
             isa-serial=on,auto-kernel-cmdline=off,x-option-roms=off,graphics=off,suppress-vmdesc=on,ioapic2={second}"
        ),
        "-accel",
        &format!("tcg,thread=multi,tb-size={TRANSLATED_MIB}"),
        "-cpu",
        PROCESSOR,
        "-smp",
        &format!("{vcpus},sockets=1,cores={vcpus},threads=1"),
        "-m",
        &format!("{memory_mib}M"),
        "-object",
        &format!(
            "memory-backend-file,id=ram,size={memory_mib}M,share=on,mem-path=/dev/fd/{}",
            fds.memory
        ),
        "-bios",
        &format!("/dev/fd/{}", fds.rom),
        // It goes when it is told to.
        "-S",
        "-rtc",
        "base=utc,clock=host",
        // The machine never goes on by itself: a reset makes a new one.
        "-action",
        "reboot=shutdown,shutdown=poweroff,panic=shutdown,watchdog=none",
        // It says there, and nowhere else, whether a processor faulted three times.
        "-d",
        "cpu_reset",
        "-D",
        &format!("/dev/fd/{}", fds.log),
        "-display",
        "dbus,p2p=yes",
        "-global",
        "virtio-mmio.force-legacy=false",
        // Its state is written without this, and read so.
        "-global",
        "migration.send-configuration=off",
        "-device",
        "i8042",
        "-device",
        &format!("pvpanic,ioport={}", acpi::PANIC),
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]);
    if let Some(folder) = folder {
        say(&["-L", &folder.join("usr/share/qemu").to_string_lossy()]);
    }
    let names = ["serial", "agent", "monitor", "display", "gpu", "keyboard", "pointer", "rng"];
    let names =
        names.map(str::to_owned).into_iter().chain((0..volumes).map(|n| format!("disk{n}")));
    // The display's end goes to QEMU later, by its monitor.
    for (name, fd) in names.zip(&fds.sockets).filter(|(name, _)| name != "display") {
        say(&["-chardev", &format!("socket,id={name},fd={fd}")]);
    }
    say(&["-serial", "chardev:serial", "-mon", "chardev=monitor,mode=control"]);
    // QEMU offers this to drivers itself; our devices do not have it.
    let plain = "queue_reset=off";
    let own = |(kind, name, rings): (&str, &str, u8)| {
        if posed {
            format!("vhost-user-blk,chardev={name},num-queues={rings},{plain}")
        } else {
            format!("vhost-user-{kind},chardev={name},id={name},{plain}")
        }
    };
    let mut devices: Vec<String> = OWN.into_iter().map(own).collect();
    devices.push("virtio-serial-device,max_ports=2,id=ports".to_owned());
    let disk = |n| format!("vhost-user-blk,chardev=disk{n},num-queues=1,{plain}");
    devices.extend((0..volumes).map(disk));
    if posed {
        // It waits for the state of what it is to be.
        say(&["-incoming", "defer"]);
    }
    // The first is the display; without it the others keep their places.
    for (slot, device) in devices.iter().enumerate().skip(usize::from(!gpu)) {
        say(&["-device", &format!("{device},bus=virtio-mmio-bus.{slot}")]);
    }
    let port = tabard_agent_wire::PORT_NAME;
    say(&[
        "-device",
        &format!("virtserialport,bus=ports.0,nr=1,chardev=agent,name={port},id=agent0"),
    ]);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::qemu::order::FIXED_SOCKETS;

    fn line(volumes: u8, gpu: bool) -> String {
        let order = Order { memory_mib: 64, vcpus: 2, volumes, gpu, posed: false };
        let sockets = (10..).take(FIXED_SOCKETS + usize::from(volumes)).collect();
        arguments(&order, &Descriptors { memory: 4, rom: 5, log: 6, state: 7, sockets }, None)
            .join(" ")
    }

    #[test]
    fn every_socket_but_the_displays_is_named_once() {
        let line = line(2, true);
        for fd in (10..20).filter(|fd| *fd != 13) {
            assert_eq!(line.matches(&format!(",fd={fd} ")).count(), 1, "{fd} in {line}");
        }
        assert!(!line.contains("fd=13"));
    }

    #[test]
    fn a_machine_without_a_display_device_keeps_the_places_of_the_others() {
        let (with, without) = (line(0, true), line(0, false));
        assert!(with.contains("vhost-user-gpu") && !without.contains("-device vhost-user-gpu"));
        for line in [with, without] {
            assert!(
                line.contains("chardev=keyboard,id=keyboard,queue_reset=off,bus=virtio-mmio-bus.1")
            );
        }
    }

    #[test]
    fn more_devices_than_pins_take_the_second_io_apic() {
        assert!(line(3, true).contains("ioapic2=off"));
        assert!(line(4, true).contains("ioapic2=on"));
    }
}
