//! Does to its disks what the command line says, whether it may or not, and says what came of it
//! on the serial port. For tests.
//!
//! `do=STEP,STEP,...` with the steps `DISK:read:SECTOR`, `DISK:write:SECTOR:BYTE`, `DISK:flush`,
//! `DISK:discard:SECTOR`, `DISK:zeroes:SECTOR`, and `DISK:stream`: writes a count into one sector
//! after the other, flushes after each, and says so, without end.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use tabard_bare::canvas::rgb;
use tabard_bare::font::HEADING;
use tabard_bare::guest;
use tabard_bare::machine::{Disk, DiskRequest, Machine, serial};
use tabard_bare::screen::Screen;

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let mut screen = Screen::new("disk", machine.gpu.take());
    screen.canvas.text(&HEADING, 24, 24, "Disk", rgb(0x00d5_dbe2));
    screen.present_first(&mut machine);
    let mut disks = core::mem::take(&mut machine.disks);
    for (number, disk) in disks.iter().enumerate() {
        serial::line(&format!(
            "{{\"disk\":{number},\"sectors\":{},\"read_only\":{}}}",
            disk.sectors(),
            disk.is_read_only()
        ));
    }
    for step in machine.options.get("do").unwrap_or("").split(',') {
        let mut words = step.split(':');
        let mut number = || words.next().unwrap_or("").parse::<u64>();
        let disk = number().ok().and_then(|number| disks.get_mut(number as usize));
        let name = words.next().unwrap_or("");
        let mut number = || words.next().unwrap_or("").parse::<u64>().unwrap_or(0);
        let (sector, byte) = (number(), number() as u8);
        let request = match name {
            "read" => DiskRequest::Read,
            "write" => DiskRequest::Write(byte),
            "flush" => DiskRequest::Flush,
            "discard" => DiskRequest::Discard,
            "zeroes" => DiskRequest::Zeroes,
            _ => {
                if let (Some(disk), "stream") = (disk, name) {
                    stream(disk);
                }
                continue;
            }
        };
        let Some(disk) = disk else {
            serial::line(&format!("{{\"step\":\"{step}\",\"error\":\"there is no such disk\"}}"));
            continue;
        };
        match disk.ask(request, sector) {
            Ok((status, read)) => {
                let (first, last) = (read.first().unwrap_or(&0), read.last().unwrap_or(&0));
                serial::line(&format!(
                    "{{\"step\":\"{step}\",\"status\":{status},\"first\":{first},\"last\":{last}}}"
                ));
            }
            Err(error) => {
                serial::line(&format!("{{\"step\":\"{step}\",\"error\":\"{error}\"}}"));
            }
        }
    }
    serial::line("{\"done\":\"disk\"}");
    loop {
        machine.wait();
        serial::line("{\"woken\":true}");
    }
}

/// Writes and flushes until an error or the end of the machine.
fn stream(disk: &mut Disk) {
    let mut count = 0u64;
    loop {
        count += 1;
        let written = disk.ask(DiskRequest::Write(count as u8), count % disk.sectors());
        let flushed = disk.ask(DiskRequest::Flush, 0);
        match (written, flushed) {
            (Ok((0, _)), Ok((0, _))) => serial::line(&format!("{{\"flushed\":{count}}}")),
            _ => return serial::line(&format!("{{\"failed\":{count}}}")),
        }
    }
}
