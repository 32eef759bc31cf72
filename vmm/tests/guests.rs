//! The real process with real guests on the real `/dev/kvm`.

mod common;

use std::time::{Duration, Instant};

use common::{PATIENCE, Vmm};
use tabard_wire::{FromVmm, StopReason, ToVmm};

fn key(code: u16) -> String {
    format!("{{\"device\":\"keyboard\",\"type\":1,\"code\":{code},\"value\":1}}")
}

#[test]
fn the_probe_gets_ready_and_shows_a_picture() {
    let mut vmm = Vmm::boot("probe");

    vmm.wait_for("damage", |m| matches!(m, FromVmm::Damage { generation: 1, .. }));
    vmm.wait_for_line("\"ready\":\"probe\",\"width\":640,\"height\":480", 1);

    assert!(vmm.pixels().iter().any(|byte| *byte != 0));
    vmm.quit();
}

#[test]
fn a_key_arrives() {
    let mut vmm = Vmm::boot("probe");
    vmm.wait_for_line("\"ready\"", 1);

    let start = Instant::now();
    vmm.send(ToVmm::Key { code: 30, pressed: true });
    vmm.send(ToVmm::Key { code: 30, pressed: false });

    vmm.wait_for_line(&key(30), 1);
    println!("key to serial line: {:?}", start.elapsed());
    vmm.wait_for_line("\"code\":30,\"value\":0}", 1);
    vmm.quit();
}

#[test]
fn the_pointer_and_its_wheel_arrive() {
    let mut vmm = Vmm::boot("probe");
    vmm.wait_for_line("\"ready\"", 1);

    vmm.send(ToVmm::Pointer { x: 1000, y: 32767 });
    vmm.send(ToVmm::Button { code: 0x110, pressed: true });
    vmm.send(ToVmm::Wheel { vertical: -1, horizontal: 0 });

    vmm.wait_for_line("\"type\":3,\"code\":1,\"value\":32767", 1);
    vmm.wait_for_line("\"type\":1,\"code\":272,\"value\":1", 1);
    vmm.wait_for_line("\"type\":2,\"code\":8,\"value\":", 1);
    vmm.quit();
}

#[test]
fn a_new_surface_resizes_the_guest() {
    let mut vmm = Vmm::boot("probe");
    vmm.wait_for_line("\"ready\"", 1);

    vmm.resize(800, 600);

    vmm.wait_for("the old picture", |m| {
        matches!(m, FromVmm::Scanout { generation: 2, width: 640, height: 480 })
    });
    vmm.expect(FromVmm::Scanout { generation: 2, width: 800, height: 600 });
    vmm.wait_for_line("\"resized\"", 1);
    assert!(vmm.pixels().iter().any(|byte| *byte != 0));
    vmm.quit();
}

#[test]
fn a_reset_starts_the_guest_again() {
    let mut vmm = Vmm::boot("probe");
    vmm.wait_for_line("\"ready\"", 1);

    let start = Instant::now();
    vmm.send(ToVmm::Reset);

    vmm.expect(FromVmm::Running);
    println!("reset to running: {:?}", start.elapsed());
    vmm.wait_for_line("\"ready\"", 2);
    vmm.send(ToVmm::Key { code: 48, pressed: true });
    vmm.wait_for_line(&key(48), 1);
    vmm.quit();
}

#[test]
fn a_paused_guest_gets_its_keys_after_it_resumes() {
    let mut vmm = Vmm::boot("probe");
    vmm.wait_for_line("\"ready\"", 1);

    vmm.send(ToVmm::Pause);
    vmm.expect(FromVmm::Paused);
    vmm.send(ToVmm::Key { code: 46, pressed: true });
    // The answer to a second pause says that the key has been taken.
    vmm.send(ToVmm::Pause);
    vmm.expect(FromVmm::Paused);
    assert!(!vmm.serial_text().contains(&key(46)));

    vmm.send(ToVmm::Resume);
    vmm.expect(FromVmm::Running);
    vmm.wait_for_line(&key(46), 1);
    vmm.quit();
}

#[test]
fn the_power_button_ends_the_guest() {
    let mut vmm = Vmm::boot("probe");
    vmm.send(ToVmm::PowerButton);
    vmm.expect(FromVmm::Stopped(StopReason::PowerOff));
    assert_eq!(vmm.wait_for_exit().code(), Some(0));
}

#[test]
fn a_reset_while_paused_runs() {
    let mut vmm = Vmm::boot("probe");
    vmm.send(ToVmm::Pause);
    vmm.expect(FromVmm::Paused);
    vmm.send(ToVmm::Reset);
    vmm.expect(FromVmm::Running);
    vmm.wait_for_line("\"ready\"", 1);
    vmm.quit();
}

#[test]
fn a_pause_outlasts_a_guest_that_resets_itself() {
    let mut vmm = Vmm::spawn();
    vmm.command_line = "scenario=reboot-storm seed=1".to_owned();
    let mut vmm = vmm.booted("hostile");
    // A machine on QEMU takes its time to be made anew, so that fewer resets meet a pause.
    let (wanted, patience) = if common::on_qemu() { (1, 3 * PATIENCE) } else { (3, PATIENCE) };
    let (begin, mut caught) = (Instant::now(), 0);
    while caught < wanted {
        assert!(begin.elapsed() < patience, "no reset meets a pause");
        vmm.send(ToVmm::Pause);
        vmm.expect(FromVmm::Paused);
        // Whatever the guest had begun is said before the answer to a second pause.
        vmm.send(ToVmm::Pause);
        let before = vmm.seen.len();
        vmm.expect(FromVmm::Paused);
        if vmm.seen[before..].contains(&FromVmm::Running) {
            // It was made anew, and stands still again before it was told to once more.
            caught += 1;
            vmm.expect(FromVmm::Paused);
        }
        vmm.send(ToVmm::Resume);
        vmm.expect(FromVmm::Running);
    }
    vmm.quit();
}

#[test]
fn a_flood_of_flushes_stops_neither_input_nor_quit() {
    let mut vmm = Vmm::boot("flood");
    vmm.wait_for("damage", |m| matches!(m, FromVmm::Damage { .. }));

    // Input is taken at once: the answer to a pause comes after all the keys before it.
    let start = Instant::now();
    for _ in 0..500 {
        vmm.send(ToVmm::Key { code: 30, pressed: true });
        vmm.send(ToVmm::Key { code: 30, pressed: false });
    }
    vmm.send(ToVmm::Pause);
    vmm.expect(FromVmm::Paused);
    assert!(start.elapsed() < common::PROMPT, "{:?}", start.elapsed());

    vmm.send(ToVmm::Resume);
    vmm.expect(FromVmm::Running);
    let start = Instant::now();
    vmm.quit();
    assert!(start.elapsed() < common::PROMPT, "{:?}", start.elapsed());
}

#[test]
fn a_reader_that_does_not_read_makes_damage_merge() {
    let mut vmm = Vmm::boot("flood");
    vmm.wait_for("damage", |m| matches!(m, FromVmm::Damage { .. }));

    // Nothing is read while the guest flushes for half a second of processor time: far more often
    // than the socket has room for.
    let end = Instant::now() + common::PATIENCE;
    let worked = common::cpu_ticks(vmm.machine()) + 50;
    while common::cpu_ticks(vmm.machine()) < worked {
        assert!(Instant::now() < end, "the guest stands still");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let seen = vmm.seen.len();
    vmm.send(ToVmm::Pause);
    vmm.expect(FromVmm::Paused);

    // What comes now is what the socket held and one merged rectangle, not every flush.
    let waiting = vmm.seen.len() - seen;
    assert!(waiting <= MOST_WAITING, "{waiting} messages waited");
    vmm.quit();
}

/// More messages than a socket buffer of Linux's default size (212,992 bytes) has room for.
const MOST_WAITING: usize = 400;
