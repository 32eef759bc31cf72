//! `tabard doctor`: what this host allows, in plain words, with the command that mends each.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use tabard_display::kms::edid_names;
use tabard_wire::{Layer, Layers};

use crate::engine::{self, Found};
use crate::script::reads_by_ocr;
use crate::session::{open_kvm, probe_jail, stock_kernel_obstacle, vmm_program};
use crate::window::display;

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// It works; what it means.
    Good(String),
    /// Tabard works without it; what is missing, and what mends it.
    Partly(String, String),
    /// Nothing works without it; why, and what mends it.
    Bad(String, String),
}

/// One line of the report.
type Line = (&'static str, Finding);

/// Runs the command. The status is 2 if no guest can run here.
#[must_use]
pub fn command() -> ExitCode {
    let kvm = open_kvm().map(drop).map_err(|error| error.to_string());
    let qemu = engine::look().map_err(|error| error.to_string());
    let obstacle = stock_kernel_obstacle();
    let lines = [
        ("processor", processor()),
        ("/dev/kvm", device(&kvm, qemu.is_ok())),
        ("engine kvm", kvm_engine(kvm.is_ok(), obstacle)),
        ("engine qemu", qemu_engine(&qemu, kvm.is_ok())),
        ("stock kernels", stock_kernels(kvm.is_ok(), obstacle, qemu.is_ok())),
        ("tabard-vmm", program()),
        ("text by OCR", ocr()),
        ("window", window()),
        ("screens", devices("/dev/dri", "card", "screens", "video")),
        ("keyboards", devices("/dev/input", "event", "input devices", "input")),
        ("memory", memory()),
        ("descriptors", descriptors()),
    ];
    let outputs = connectors(Path::new("/sys/class/drm")).into_iter();
    let outputs = outputs.map(|words| ("screen", good(words)));
    let lines: Vec<Line> = lines.into_iter().chain(outputs).chain(jail()).collect();
    print_all(&lines);
    if lines.iter().any(|(_, finding)| matches!(finding, Finding::Bad(..))) {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}

fn print_all(lines: &[Line]) {
    for (name, finding) in lines {
        match finding {
            Finding::Good(words) => println!("ok    {name:<14} {words}"),
            Finding::Partly(words, mend) => {
                println!("note  {name:<14} {words}\n{:21}{mend}", "");
            }
            Finding::Bad(words, mend) => println!("FAIL  {name:<14} {words}\n{:21}{mend}", ""),
        }
    }
}

fn good(words: impl Into<String>) -> Finding {
    Finding::Good(words.into())
}

fn processor() -> Finding {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    good(format!("{}, {count} usable", model.unwrap_or_else(|| "unknown".to_owned())))
}

/// Splits a message into what is wrong and what mends it.
fn parts(text: &str) -> (String, String) {
    let (cause, mend) = text.split_once(". ").unwrap_or((text, "Run it again as root"));
    (cause.to_owned(), mend.to_owned())
}

/// What reads text for scripts; nothing else needs it.
fn ocr() -> Finding {
    match reads_by_ocr() {
        Ok(words) => good(words),
        Err(text) => {
            let (cause, mend) = parts(&text);
            Finding::Partly(cause, mend)
        }
    }
}

/// KVM itself. Without it, guests need a QEMU.
fn device(kvm: &Result<(), String>, has_qemu: bool) -> Finding {
    match kvm {
        Ok(()) => good("opens for reading and writing"),
        Err(text) => {
            let (cause, mend) = parts(text);
            if has_qemu { Finding::Partly(cause, mend) } else { Finding::Bad(cause, mend) }
        }
    }
}

/// What the engine `kvm` runs here.
fn kvm_engine(opens: bool, obstacle: Option<&'static str>) -> Finding {
    match (opens, obstacle) {
        (true, None) => good("runs built-in guests and stock Linux kernels"),
        (true, Some(_)) => good("runs built-in guests"),
        (false, _) => Finding::Partly(
            "runs nothing, because /dev/kvm does not open".to_owned(),
            "See the line /dev/kvm; until then guests need the engine qemu".to_owned(),
        ),
    }
}

/// Which QEMU the engine `qemu` is.
fn qemu_engine(qemu: &Result<Found, String>, has_kvm: bool) -> Finding {
    match qemu {
        Ok(found) => good(format!(
            "{}; guests on its emulated processor are slower than on KVM",
            engine::words(found)
        )),
        Err(text) => {
            let (cause, mend) = parts(text);
            if has_kvm { Finding::Partly(cause, mend) } else { Finding::Bad(cause, mend) }
        }
    }
}

/// Where stock Linux kernels run.
fn stock_kernels(has_kvm: bool, obstacle: Option<&'static str>, has_qemu: bool) -> Finding {
    let obstacle = if has_kvm { obstacle } else { Some("there is no KVM that opens") };
    match (obstacle, has_qemu) {
        (None, _) => good("run on the engine kvm, by hardware virtualization"),
        (Some(_), true) => good("run on the engine qemu, slower than by hardware virtualization"),
        (Some(why), false) => Finding::Partly(
            why.to_owned(),
            "Mend the line engine qemu: they run on that engine. They are faster on a bare \
             machine, or with nested virtualization"
                .to_owned(),
        ),
    }
}

fn program() -> Finding {
    match vmm_program() {
        Ok(path) => good(path.display().to_string()),
        Err(error) => Finding::Bad(
            error.to_string(),
            "Run `cargo build --workspace`, or install tabard-vmm beside tabard".to_owned(),
        ),
    }
}

/// Libraries that the window loads at run time, and the Debian packages that have them.
const X11_LIBRARIES: [(&str, &str); 5] = [
    ("libX11.so.6", "libx11-6"),
    ("libX11-xcb.so.1", "libx11-xcb1"),
    ("libXcursor.so.1", "libxcursor1"),
    ("libXi.so.6", "libxi6"),
    ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
];

fn window() -> Finding {
    if let Err(why) = display() {
        let (cause, mend) = why.split_once(". ").unwrap_or((&why, ""));
        return Finding::Partly(cause.to_owned(), mend.to_owned());
    }
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu"];
    let missing: Vec<&str> = X11_LIBRARIES
        .iter()
        .filter(|(file, _)| !folders.iter().any(|folder| Path::new(folder).join(file).exists()))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() || std::env::var_os("WAYLAND_DISPLAY").is_some() {
        good("a display is there (a window is not a trusted path: the desktop around it sees all)")
    } else {
        Finding::Partly(
            "a display is there, libraries are missing".to_owned(),
            format!("sudo apt-get install {}", missing.join(" ")),
        )
    }
}

fn devices(folder: &str, prefix: &str, what: &str, group: &str) -> Finding {
    let entries = fs::read_dir(folder).map(|entries| {
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
            })
            .collect::<Vec<_>>()
    });
    let paths = entries.unwrap_or_default();
    if paths.is_empty() {
        return Finding::Partly(
            format!("no {what} under {folder}"),
            "Only a window or no screen at all is possible here".to_owned(),
        );
    }
    let usable = paths
        .iter()
        .filter(|path| fs::File::options().read(true).write(true).open(path).is_ok())
        .count();
    if usable == paths.len() {
        good(format!("{usable} {what} for `tabard run DESK --seat`"))
    } else {
        Finding::Partly(
            format!("{usable} of {} {what} can be opened", paths.len()),
            format!("sudo usermod -aG {group} $USER"),
        )
    }
}

/// Every connected screen by the names that a desk file may use, with the sizes of its modes.
fn connectors(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut screens: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.path();
            let status = fs::read_to_string(path.join("status")).ok()?;
            let modes = fs::read_to_string(path.join("modes")).ok()?;
            let mut sizes: Vec<&str> = modes.lines().collect();
            sizes.dedup();
            let name = path.file_name()?.to_string_lossy().into_owned();
            let edid = fs::read(path.join("edid")).unwrap_or_default();
            let own = edid_names(&edid).pop().map_or(String::new(), |own| format!(" ({own})"));
            (status.trim() == "connected").then(|| format!("{name}{own}: {}", sizes.join(" ")))
        })
        .collect();
    screens.sort();
    screens
}

fn memory() -> Finding {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    match available.map(|kib| kib / 1024) {
        Some(mib) if mib >= 512 => good(format!("{mib} MiB free for guests")),
        Some(mib) => Finding::Partly(
            format!("only {mib} MiB are free"),
            "Give the guests less memory, or close other programs".to_owned(),
        ),
        None => good("unknown"),
    }
}

fn descriptors() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        // Each guest needs about ten on either side.
        Some(limit) if limit < 1024 => {
            Finding::Partly(format!("at most {limit} open files"), "ulimit -n 1024".to_owned())
        }
        Some(limit) => good(format!("at most {limit} open files")),
        None => good("no limit of open files"),
    }
}

/// The jail as a `tabard-vmm` on this host reports it, and what mends each layer that is missing.
fn jail() -> Vec<Line> {
    let probed = vmm_program().map_err(|error| error.to_string());
    let held = match probed.and_then(|program| probe_jail(&program)) {
        Ok(held) => held,
        Err(why) => {
            let mend = "Run a kernel of Linux 5.9 or later with seccomp filters".to_owned();
            return vec![("jail", Finding::Bad(why, mend))];
        }
    };
    let mut lines = vec![("jail", good(format!("a guest's process holds: {held}")))];
    lines.extend(Layers::ALL.lacking_in(held).iter().map(|layer| {
        let (words, mend) = missing(layer);
        ("jail", Finding::Partly(format!("{} is missing: {words}", layer.name()), mend.to_owned()))
    }));
    lines
}

/// What is open without a layer, and the command that mends it.
fn missing(layer: Layer) -> (&'static str, &'static str) {
    const NAMESPACES: &str = "sudo sysctl -w user.max_user_namespaces=16384; on Ubuntu also \
         kernel.apparmor_restrict_unprivileged_userns=0, on older Debian \
         kernel.unprivileged_userns_clone=1";
    match layer {
        Layer::User => ("it is the user who runs Tabard", NAMESPACES),
        Layer::Mount => ("it sees the file system, and Landlock alone closes it", NAMESPACES),
        Layer::Pid => ("it sees other processes, and seccomp alone keeps it from them", NAMESPACES),
        Layer::Net => ("it sees the network, and seccomp alone keeps it from it", NAMESPACES),
        Layer::Ipc | Layer::Uts => ("it sees the host's, and seccomp alone closes it", NAMESPACES),
        Layer::Landlock => (
            "the empty root and seccomp alone close the file system",
            "Boot with lsm=landlock,... (Linux 5.13 or later; cat /sys/kernel/security/lsm)",
        ),
        Layer::Cores => (
            "guests of other labels may run on the sibling thread of a core",
            "Run a kernel with CONFIG_SCHED_CORE, or: echo off | sudo tee /sys/devices/system/cpu/smt/control",
        ),
        Layer::Cgroup => (
            "memory that the kernel holds for it and its share of the processors are not bounded",
            "systemd-run --user --scope -p Delegate=yes tabard run DESK (cgroup v2 with cpu, memory and pids)",
        ),
        Layer::Privileges | Layer::Seccomp | Layer::Limits => {
            ("every supported kernel has it", "Run Linux 5.9 or later")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU as it would be found.
    fn found() -> Found {
        Found {
            qemu: crate::session::Qemu { program: "/q/qemu".into(), folder: None },
            version: engine::OLDEST,
            origin: engine::Origin::Host,
        }
    }

    #[test]
    fn a_host_fails_only_where_no_engine_can_run_a_guest() {
        let is_bad = |finding: &Finding| matches!(finding, Finding::Bad(..));
        let absent: Result<(), String> = Err("Cannot open /dev/kvm: none. Load it".to_owned());
        let none: Result<Found, String> = Err("There is no QEMU. Run it".to_owned());
        for (kvm, qemu, fails) in [
            (&Ok(()), &Ok(found()), false),
            (&Ok(()), &none, false),
            (&absent, &Ok(found()), false),
            (&absent, &none, true),
        ] {
            let lines = [
                device(kvm, qemu.is_ok()),
                kvm_engine(kvm.is_ok(), None),
                qemu_engine(qemu, kvm.is_ok()),
                stock_kernels(kvm.is_ok(), None, qemu.is_ok()),
            ];
            assert_eq!(lines.iter().any(is_bad), fails, "{lines:?}");
        }
    }

    #[test]
    fn stock_kernels_run_on_qemu_where_this_kvm_cannot() {
        let words = |finding| match finding {
            Finding::Good(words) => words,
            other => panic!("{other:?}"),
        };
        assert!(words(stock_kernels(true, Some("pvm"), true)).contains("engine qemu"));
        assert!(words(stock_kernels(true, None, true)).contains("engine kvm"));
        assert!(words(stock_kernels(false, None, true)).contains("engine qemu"));
        assert!(matches!(stock_kernels(true, Some("pvm"), false), Finding::Partly(..)));
    }

    #[test]
    fn connected_screens_are_listed_with_their_sizes() {
        let folder = tempfile::tempdir().unwrap();
        for (name, status, modes) in [
            ("card0", None, None),
            ("card0-DP-1", Some("disconnected\n"), Some("")),
            ("card0-HDMI-A-1", Some("connected\n"), Some("1920x1080\n1920x1080\n800x600\n")),
        ] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            for (file, text) in [("status", status), ("modes", modes)] {
                if let Some(text) = text {
                    fs::write(path.join(file), text).unwrap();
                }
            }
        }
        assert_eq!(connectors(folder.path()), ["card0-HDMI-A-1: 1920x1080 800x600"]);
        let mut edid = vec![0; 128];
        edid[..12].copy_from_slice(&[0, 255, 255, 255, 255, 255, 255, 0, 0x10, 0xac, 0x34, 0x12]);
        fs::write(folder.path().join("card0-HDMI-A-1/edid"), edid).unwrap();
        assert_eq!(connectors(folder.path()), ["card0-HDMI-A-1 (DEL 1234): 1920x1080 800x600"]);
        assert!(connectors(&folder.path().join("none")).is_empty());
    }
}
