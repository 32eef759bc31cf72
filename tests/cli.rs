//! Bad input: one clear error, status 2, nothing left half-started.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{tabard, vmm};

fn run(arguments: &[&str], folder: &Path) -> Output {
    vmm();
    Command::new(tabard())
        .args(arguments)
        .current_dir(folder)
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env("XDG_STATE_HOME", folder)
        .output()
        .unwrap()
}

fn desk(folder: &Path, kernel: &str) {
    let text = format!(
        "[desk]\nname = \"x\"\ntheme = \"us\"\n[guests.one]\nlabel = \"SECRET\"\nkernel = \"{kernel}\"\n"
    );
    std::fs::write(folder.join("desk.toml"), text).unwrap();
}

/// A desk that wants KVM and nothing else.
fn desk_on_kvm(folder: &Path) {
    desk(folder, "builtin:probe");
    let text = std::fs::read_to_string(folder.join("desk.toml")).unwrap();
    std::fs::write(folder.join("desk.toml"), text + "engine = \"kvm\"\n").unwrap();
}

/// Status 2 and these words on standard error, for both `check` and `run`.
fn refused(folder: &Path, words: &[&str]) {
    for arguments in [&["check", "desk.toml"][..], &["run", "--headless", "desk.toml"]] {
        let output = run(arguments, folder);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{arguments:?}: {word:?} is not in {text:?}");
        }
    }
}

#[test]
fn a_kernel_that_is_no_elf_is_refused_by_file_line_and_cause() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kernel"), "not a kernel at all, but long enough to be read")
        .unwrap();
    desk(folder.path(), "kernel");
    refused(folder.path(), &["desk.toml:4: ", "\"one\"", "neither an ELF nor a bzImage"]);
}

#[test]
fn a_kernel_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let elf = tabard_guests::builtin("probe").unwrap().elf;
    std::fs::write(folder.path().join("kernel"), &elf[..elf.len() / 2]).unwrap();
    desk(folder.path(), "kernel");
    refused(folder.path(), &["desk.toml:4: ", "cut short"]);
}

/// A file that is a bzImage as far as its header goes (Linux's `Documentation/arch/x86/boot.rst`).
fn bz_image() -> Vec<u8> {
    let mut bytes = vec![0; 1024 + 4096];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0x1f1, &[1]);
    put(0x1f4, &256u32.to_le_bytes());
    put(0x1fe, &0xaa55u16.to_le_bytes());
    put(0x202, b"HdrS");
    put(0x206, &0x20fu16.to_le_bytes());
    put(0x211, &[1]);
    put(0x214, &0x10_0000u32.to_le_bytes());
    put(0x22c, &0x7fff_ffffu32.to_le_bytes());
    put(0x230, &0x1000u32.to_le_bytes());
    put(0x236, &1u16.to_le_bytes());
    put(0x260, &0x1_0000u32.to_le_bytes());
    bytes
}

#[test]
fn an_initrd_that_linux_could_only_panic_over_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("kernel"), bz_image()).unwrap();
    desk(folder.path(), "kernel");
    let text = std::fs::read_to_string(path("desk.toml")).unwrap();
    std::fs::write(path("desk.toml"), text + "initrd = \"initrd\"\n").unwrap();

    refused(folder.path(), &["desk.toml:4: ", "initrd", "No such file"]);
    std::fs::write(path("initrd"), "<html>404 Not Found</html>").unwrap();
    refused(folder.path(), &["desk.toml:4: ", "no archive that Linux can unpack"]);

    // One that `tabard image build` made, and that was then cut short.
    std::fs::write(path("initrd"), "\u{1f}").unwrap();
    let entry = "[[file]]\nname = \"initrd\"\nbytes = 2652703\nsha256 = \"bc9c\"\n";
    std::fs::write(path("manifest.toml"), entry).unwrap();
    refused(folder.path(), &["desk.toml:4: ", "has 1 bytes", "manifest.toml says 2652703"]);
}

#[test]
fn a_kernel_from_a_file_is_accepted_by_check() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kernel"), tabard_guests::builtin("probe").unwrap().elf)
        .unwrap();
    desk(folder.path(), "kernel");
    let output = run(&["check", "desk.toml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the high guest writes on its volume, the low one would boot: a way down that goes around
/// every label.
#[test]
fn a_way_from_high_to_low_by_a_file_with_two_uses_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let elf = tabard_guests::builtin("probe").unwrap().elf;
    let sectors = elf.len().next_multiple_of(512);
    let mut kernel = elf.to_vec();
    kernel.resize(sectors, 0);
    std::fs::write(folder.path().join("kernel"), kernel).unwrap();
    std::fs::hard_link(folder.path().join("kernel"), folder.path().join("data.img")).unwrap();
    let text = "[desk]\nname = \"T\"\ntheme = \"us\"\n[volumes.data]\npath = \"data.img\"\n\
                label = \"SECRET\"\n[guests.high]\nlabel = \"SECRET\"\n\
                kernel = \"builtin:probe\"\nvolumes = [\"data\"]\n\
                [guests.low]\nlabel = \"UNCLASSIFIED\"\nkernel = \"kernel\"\n";
    std::fs::write(folder.path().join("desk.toml"), text).unwrap();
    refused(folder.path(), &["desk.toml:4: ", "is also what \"low\" boots"]);
}

#[test]
fn a_kernel_that_is_missing_empty_or_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    for (kernel, word) in [("none", "No such file"), ("empty", "is empty"), (".", "not a regular")]
    {
        desk(folder.path(), kernel);
        refused(folder.path(), &["desk.toml:4: ", word]);
    }
}

#[test]
fn an_unknown_built_in_guest_is_refused_with_those_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    desk(folder.path(), "builtin:emacs");
    refused(folder.path(), &["\"emacs\"", "notepad", "sketch"]);
}

#[test]
fn a_desk_with_faults_is_refused_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("desk.toml"),
        "[desk]\nname = \"x\"\nlayout = \"pile\"\n[guests.one]\nlabel = \"COSMIC\"\n",
    )
    .unwrap();
    refused(folder.path(), &["desk.toml:3: ", "desk.toml:5: ", "has no kernel"]);
}

#[test]
fn a_desk_that_is_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["desk.toml", "No such file"]);
}

#[test]
fn a_window_without_a_display_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    desk(folder.path(), "builtin:probe");
    let output = run(&["run", "desk.toml"], folder.path());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("DISPLAY") && text.contains("--headless"), "{text}");
}

#[test]
fn a_script_with_faults_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.test"), "desk desk.toml\nfly away\n").unwrap();
    let output = run(&["test", "bad.test"], folder.path());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("bad.test:2"), "{text}");
}

#[test]
fn doctor_names_the_kvm_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["doctor"], folder.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for name in ["/dev/kvm", "engine kvm", "engine qemu"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_host_without_qemu_is_told_what_loads_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(tabard())
        .arg("engine")
        .env("TABARD_QEMU_FOLDER", folder.path().join("none"))
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        // This host has one itself.
        Some(0) => assert!(out.starts_with("QEMU ") && out.contains("this host's own"), "{out}"),
        Some(2) => assert!(err.contains("Run `") || err.contains("Install QEMU"), "{err}"),
        other => panic!("{other:?}: {out}{err}"),
    }
}

#[test]
fn completions_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["completions", "bash"], folder.path());
    assert!(String::from_utf8_lossy(&output.stdout).contains("complete -F _tabard"));
}

/// `tabard run` where `/dev` is another: in a mount namespace of its own, without capabilities.
fn run_with_dev(folder: &Path, prepare: &str) -> Output {
    vmm();
    let command = format!(
        "mount -t tmpfs none /dev && {prepare} && exec setpriv --bounding-set=-all \
         --inh-caps=-all {} run --headless desk.toml",
        tabard().display()
    );
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &command])
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder)
        .output()
        .unwrap()
}

#[test]
fn a_host_without_kvm_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    desk_on_kvm(folder.path());
    let output = run_with_dev(folder.path(), "true");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("Cannot open /dev/kvm: it does not exist"), "{text}");
    assert!(text.contains("modprobe"), "{text}");
}

#[test]
fn a_user_without_permission_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    desk_on_kvm(folder.path());
    let output = run_with_dev(folder.path(), "touch /dev/kvm && chmod 000 /dev/kvm");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("Cannot open /dev/kvm: permission denied"), "{text}");
    assert!(text.contains("usermod -aG kvm"), "{text}");
}

#[test]
fn without_a_home_logs_and_keys_go_nowhere_that_others_could_have_made_first() {
    let folder = tempfile::tempdir().unwrap();
    let desk = folder.path().join("desk.toml");
    std::fs::write(&desk, common::DESK).unwrap();
    let output = Command::new(common::tabard())
        .args(["run", "--headless"])
        .arg(&desk)
        .env_remove("HOME")
        .env_remove("XDG_STATE_HOME")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("HOME") && words.contains("--logs"), "{words}");
}
