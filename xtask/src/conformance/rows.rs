//! The requirements, what was done about each, and the tests that stand for it.

use super::Test;

/// One requirement.
pub struct Row {
    /// Its name, as the profiles have it.
    pub requirement: &'static str,
    /// What it means for a virtual switch.
    pub meaning: &'static str,
    /// What was done.
    pub done: &'static str,
    /// What stands for it.
    pub tests: &'static [Test],
    /// What is still missing; empty if nothing is.
    pub open: &'static str,
}

/// The program that is no test but the fuzzer.
pub const FUZZ: &str = "fuzz";

const fn test(package: &'static str, program: &'static str, name: &'static str) -> Test {
    Test { package, program, name }
}

/// All attacks of `docs/hostile.md`, every frame judged.
const HOSTILE: Test = test("tabard", "hostile", "hostile::");

/// All rows, in the order of the profiles.
pub const ROWS: &[Row] = &[
    Row {
        requirement: "FDP_APC_EXT.1",
        meaning: "Data goes only to the selected guest; nothing flows between guests, on or off, or in failure.",
        done: "One process and one wire for each guest; input is delivered by two functions of the monitor alone. Random histories are judged event by event; good guests beside hostile ones get exactly what was typed into them; what a guest is told is the same byte for byte whatever another does; a process that is taken over is jailed.",
        tests: &[
            test("tabard-trusted-path", "lib", "laws::"),
            test("tabard", "typing", "text_reaches_the_focused_probe_and_no_other"),
            test(
                "tabard",
                "hostile_guests",
                "a_process_that_is_stopped_and_reads_nothing_blocks_nobody",
            ),
            test("tabard", "non_interference", ""),
            test("tabard", "jail", ""),
            test("tabard-vmm", "jail", ""),
            HOSTILE,
        ],
        open: "",
    },
    Row {
        requirement: "FDP_SWI_EXT.1, FDP_SWI_EXT.2",
        meaning: "Switching only by the user's express action; no automatic scan, no control from a connected guest; a keyboard chord must be guarded.",
        done: "No message of a guest names focus. The chord opens the trusted screen, where the user chooses; its last key reaches nobody. Under every attack, each frame names the guest that the user is at.",
        tests: &[
            test("tabard-trusted-path", "lib", "invariants::invariant_2"),
            test("tabard-trusted-path", "lib", "invariants::invariant_3"),
            test(
                "tabard-trusted-path",
                "lib",
                "laws::no_guest_report_changes_focus_stacking_label_or_mode",
            ),
            test("tabard-input", "lib", "chord::"),
            test("tabard", "glass", "invariant_2"),
            test("tabard", "glass", "invariant_3"),
            test("tabard", "hostile_guests", "invariant_3"),
            HOSTILE,
        ],
        open: "",
    },
    Row {
        requirement: "FDP_SWI_EXT.3",
        meaning: "Keyboard and mouse are switched together.",
        done: "There is one recipient, for both.",
        tests: &[
            test("tabard-trusted-path", "lib", "invariants::invariant_5"),
            test("tabard", "typing", "invariant_5"),
        ],
        open: "",
    },
    Row {
        requirement: "FDP_RIP.1/KM",
        meaning: "Keyboard data is gone after a switch.",
        done: "What a guest has not taken stays in its own queue; keys held across a switch are released to the old guest and swallowed until they are up.",
        tests: &[
            test("tabard-trusted-path", "lib", "invariants::invariant_4"),
            test("tabard", "typing", "invariant_4"),
            test("tabard", "typing", "a_switch_takes_the_keyboard_along"),
        ],
        open: "No test looks for key codes in freed memory.",
    },
    Row {
        requirement: "FDP_UDF_EXT.1/KM, FDP_FIL_EXT.1/KM, FDP_RDR_EXT.1",
        meaning: "Peripherals to guest only; a device filter in which deny wins; a device that comes back as another class is refused.",
        done: "What a guest writes to its keyboard's lights ends in the virtual device. Devices are told apart by what they can do, not by what they say they are.",
        tests: &[
            test("tabard-vmm", "lib", "devices::input::tests::lights_are_swallowed"),
            test(
                "tabard-input",
                "lib",
                "device::tests::a_device_that_comes_back_as_another_class_is_refused",
            ),
            test("tabard", "hostile", "hostile::led-storm"),
            test("tabard", "hostile", "hostile::status-garbage"),
        ],
        open: "",
    },
    Row {
        requirement: "FDP_PDC_EXT.1",
        meaning: "Unauthorised devices are rejected at boot and hotplug, and the user is told.",
        done: "A pointer that can type, a joystick and a touch screen are refused; a new keyboard is accepted by the user on the trusted screen.",
        tests: &[test("tabard-input", "lib", "device::")],
        open: "",
    },
    Row {
        requirement: "FDP_UDF_EXT.1/VI, FDP_SPR_EXT",
        meaning: "Video flows one way; the EDID is synthetic.",
        done: "A guest sees a made-up EDID of the size of its own window. There is no path to a real monitor's DDC or CEC.",
        tests: &[
            test("tabard-vmm", "lib", "devices::gpu::edid::"),
            test("tabard-vmm", "lib", "devices::gpu::tests::an_edid_is_given"),
        ],
        open: "",
    },
    Row {
        requirement: "FTA_CIN_EXT.1",
        meaning: "A continuous, never conflicting indication of the selected guest.",
        done: "Every frame of every screen is judged before it is confirmed: bar, letters, ring and label name the recipient, and outside of the guests' rectangles the picture is what the view alone makes it. Besides, no presenter shows a frame whose bar and banners a verifier of other code has not read.",
        tests: &[
            HOSTILE,
            test("tabard", "lib", "oracle::"),
            test("tabard", "glass", "invariant_1"),
            test("tabard-trusted-path", "lib", "invariants::invariant_1"),
            test("tabard-display", "compose", "banners_are_pixel_for_pixel"),
            test("tabard-display", "compose", "invariant_6"),
            test("tabard-display", "lib", "verifier::"),
            test("tabard", "architecture", "every_presenter_shows_verified_frames_only"),
        ],
        open: "",
    },
    Row {
        requirement: "FTP_UIF_EXT.1, FTP_UIF_EXT.2",
        meaning: "The user sees which guest has focus; guests are told apart even with the same name.",
        done: "Names that are equal or look alike are refused when the desk file is read; text, colour, pattern and shape tell labels apart.",
        tests: &[
            test(
                "tabard-session",
                "lib",
                "desk::tests::guests_with_names_that_look_alike_are_refused",
            ),
            test("tabard-labels", "lib", "text::tests::look_alikes_are_found"),
            test("tabard-labels", "lib", "preset::"),
            test("tabard-display", "compose", "the_bar_names_the_focus_and_its_label"),
        ],
        open: "",
    },
    Row {
        requirement: "FPT_FLS_EXT.1, FPT_TST_EXT.1",
        meaning: "A secure state after a failed self-test.",
        done: "Fonts are part of the program; a program without them does not start.",
        tests: &[],
        open: "A start-up check of the program's own digest.",
    },
    Row {
        requirement: "FPT_NTA_EXT.1, FPT_DVD_EXT.1, FPT_VDP_EXT.1",
        meaning: "No way into the switch from a guest; absent devices do not answer; device parameters are checked.",
        done: "Ports, memory and registers of absent devices read as ones, also VMware's, QEMU's and PCI's; every device is driven through real queues by guests and by the fuzzer.",
        tests: &[
            HOSTILE,
            test("tabard-vmm", "lib", "bus::tests::what_is_absent_reads_as_ones"),
            test("tabard-vmm", "lib", "devices::"),
            test("tabard-vmm", "refusals", ""),
            test("tabard-fuzz", FUZZ, "fuzz"),
        ],
        open: "",
    },
    Row {
        requirement: "FDP_VMS_EXT.1, FDP_RIP_EXT.1, FDP_RIP_EXT.2, FDP_HBI_EXT.1",
        meaning: "Separation; no residual memory or disk.",
        done: "Memory comes zeroed from the kernel, for each run; a reset makes a new machine; each run has a surface of its own; a disposable guest's writes go with it.",
        tests: &[
            test("tabard-vmm", "lib", "memory::tests::fresh_memory_is_zero"),
            test("tabard-vmm", "guests", "a_reset_starts_the_guest_again"),
            test("tabard", "volumes", ""),
            test("tabard", "hostile_guests", "stopping_the_desk_leaves_no_process_behind"),
            test("tabard", "kills", ""),
        ],
        open: "",
    },
    Row {
        requirement: "FDP_VNC_EXT.1",
        meaning: "Networks only as configured.",
        done: "There is no network device: a guest looks for one in every place of its machine. Its process is in a network namespace without any network, and a call that makes or uses a socket ends it.",
        tests: &[
            test("tabard", "hostile", "hostile::memory-hole-scan"),
            test("tabard-vmm", "jail", "every_call_of_an_intruder_ends_the_process"),
            test("tabard-vmm", "jail", "the_host_agrees"),
        ],
        open: "Networks between guests of one class.",
    },
    Row {
        requirement: "FPT_ML_EXT.1, FPT_INT_EXT.1, FPT_GVI_EXT.1",
        meaning: "Measured launch, introspection, guest integrity.",
        done: "Nothing; not claimed.",
        tests: &[],
        open: "All of it.",
    },
    Row {
        requirement: "FAU_GEN.1, FAU_STG",
        meaning: "What is audited; records are protected.",
        done: "A chained and signed log; each record is on the disk before what it is about takes effect; a full disk ends the desk or slows it down, as it says; a damaged log is found out and where (audit.md).",
        tests: &[
            test("tabard-trusted-path", "lib", "audit::tests::"),
            test("tabard-session", "lib", "audit::"),
            test("tabard", "audit", ""),
            test("tabard", "full_disk", ""),
        ],
        open: "A log that leaves the host.",
    },
    Row {
        requirement: "FIA_UAU, FIA_AFL, FTA_SSL, FTA_TAB",
        meaning: "Authentication, handling of failures, lock, access banner: on the trusted screen only.",
        done: "Login and lock with Argon2id, growing delays, a personal phrase; while locked no guest is in any view (users.md).",
        tests: &[
            test("tabard-trusted-path", "lib", "lock::tests::"),
            test("tabard-session", "lib", "accounts::"),
            test("tabard", "lock", ""),
        ],
        open: "In a window the lock comes after the host woke, not before it sleeps; no access banner.",
    },
    Row {
        requirement: "FDP_IFC, FDP_IFF (Bell-LaPadula, Biba)",
        meaning: "What moves between guests obeys the lattice; the one exception is a downgrade that a cleared human reviewed.",
        done: "Texts, volumes and questions are checked by one policy function; what is released is the reviewed snapshot, by digest.",
        tests: &[
            test("tabard", "exchange", ""),
            test("tabard", "delivered", ""),
            test("tabard-session", "lib", "desk::volume_tests::"),
            test("tabard-labels", "laws", "flow_"),
        ],
        open: "",
    },
];
