//! How a guest's processor and chipset run: on this host's KVM, or on QEMU, which emulates them.

use std::cell::OnceCell;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BUILTIN_PREFIX;
use super::desk::{Desk, GuestSpec};
use super::process::open_kvm;

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// This host's KVM, with a machine of Tabard's own.
    Kvm,
    /// QEMU's emulated processor and chipset, with Tabard's devices.
    Qemu,
}

impl Engine {
    /// As it is written in a desk file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
        }
    }

    /// As a user reads it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Qemu => "qemu (emulated, slower)",
        }
    }
}

/// A QEMU that can be an engine: version 8.0 or newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program, by an absolute path.
    pub program: PathBuf,
    /// The folder below which the program, its libraries and modules are as in the packages that
    /// they came from (`FOLDER/usr/...`, `FOLDER/lib/...`); `None` for the host's own.
    pub folder: Option<PathBuf>,
}

/// Why this host's KVM does not run stock Linux kernels, if it does not. `kvm_pvm` runs a guest's
/// privileged code in an interpreter that does not know all instructions of a stock kernel.
#[must_use]
pub fn stock_kernel_obstacle() -> Option<&'static str> {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if flags.split_whitespace().any(|word| word == "vmx" || word == "svm") {
        None
    } else if Path::new("/sys/module/kvm_pvm").exists() {
        Some(
            "this KVM is kvm_pvm without hardware virtualization: built-in guests run at full \
             speed, stock Linux kernels do not boot",
        )
    } else {
        Some("the processor shows neither vmx nor svm: stock Linux kernels may not boot")
    }
}

/// An engine, ready to be handed to a guest's process.
#[derive(Debug, Clone)]
pub(crate) enum Ground {
    /// `/dev/kvm`.
    Kvm(Arc<OwnedFd>),
    /// A program of this host.
    Qemu(Qemu),
}

impl Ground {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Kvm(_) => Engine::Kvm,
            Self::Qemu(_) => Engine::Qemu,
        }
    }
}

/// What one guest runs on: what is wanted, else KVM where it can run the guest, else QEMU. Beside
/// KVM, or why it cannot be had, stands why this one may not be able to run this guest.
///
/// # Errors
/// In words: why there is nothing, and what to do.
fn choose(
    wanted: Option<Engine>,
    kvm: Result<&Arc<OwnedFd>, &str>,
    obstacle: Option<&str>,
    qemu: Option<&Qemu>,
) -> Result<Ground, String> {
    const FETCH: &str = "run `tabard engine fetch`, which gets a QEMU that emulates a processor";
    match (wanted, kvm, obstacle, qemu) {
        (Some(Engine::Kvm), Ok(kvm), ..) | (None, Ok(kvm), None, _) => {
            Ok(Ground::Kvm(Arc::clone(kvm)))
        }
        (Some(Engine::Kvm), Err(why), ..) => Err(why.to_owned()),
        (.., Some(qemu)) => Ok(Ground::Qemu(qemu.clone())),
        (Some(Engine::Qemu), ..) => Err(format!("there is no QEMU 8.0 or newer; {FETCH}")),
        (None, Ok(_), Some(why), _) => {
            Err(format!("{why}; {FETCH}, or write engine = \"kvm\" to try it all the same"))
        }
        (None, Err(why), ..) => Err(format!("{why}. Or {FETCH}")),
    }
}

/// What each guest of a desk runs on, or why there is nothing, and what to do. `over` is what the
/// user wants for all of them. KVM is opened only if a guest could run on it.
pub(super) fn grounds(
    desk: &Desk,
    over: Option<Engine>,
    qemu: fn() -> Option<Qemu>,
) -> Vec<Result<Ground, String>> {
    let wanted = desk.guests.iter().map(|guest| over.or(guest.engine));
    let kvm = if wanted.clone().all(|wanted| wanted == Some(Engine::Qemu)) {
        Err(String::new())
    } else {
        open_kvm().map(Arc::new).map_err(|error| error.to_string())
    };
    let obstacle = stock_kernel_obstacle();
    // Finding it takes as long as a guest takes to start.
    let found = OnceCell::new();
    let ground = |(guest, wanted): (&GuestSpec, Option<Engine>)| {
        let obstacle = obstacle.filter(|_| !guest.kernel.starts_with(BUILTIN_PREFIX));
        let kvm = kvm.as_ref().map_err(String::as_str);
        let kvm_will_do = wanted.is_none() && kvm.is_ok() && obstacle.is_none();
        let needed = !kvm_will_do && wanted != Some(Engine::Kvm);
        let qemu = if needed { found.get_or_init(qemu).as_ref() } else { None };
        choose(wanted, kvm, obstacle, qemu)
    };
    desk.guests.iter().zip(wanted).map(ground).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PVM: Option<&str> = Some("this KVM runs no stock kernel");

    fn kvm() -> Arc<OwnedFd> {
        Arc::new(std::fs::File::open("/dev/null").unwrap().into())
    }

    fn qemu() -> Qemu {
        Qemu { program: "/usr/bin/qemu-system-x86_64".into(), folder: None }
    }

    /// With and without KVM and QEMU: the engine, or the words of the error.
    fn on(
        wanted: Option<Engine>,
        has_kvm: bool,
        obstacle: Option<&str>,
        has_qemu: bool,
    ) -> Result<Engine, String> {
        let (kvm, qemu) = (kvm(), qemu());
        let kvm = if has_kvm { Ok(&kvm) } else { Err("Cannot open /dev/kvm") };
        choose(wanted, kvm, obstacle, has_qemu.then_some(&qemu)).map(|ground| ground.engine())
    }

    #[test]
    fn auto_takes_kvm_where_it_runs_the_guest_else_qemu() {
        for has_qemu in [true, false] {
            assert_eq!(on(None, true, None, has_qemu), Ok(Engine::Kvm));
        }
        assert_eq!(on(None, true, PVM, true), Ok(Engine::Qemu));
        assert_eq!(on(None, false, None, true), Ok(Engine::Qemu));
        assert_eq!(on(None, false, PVM, true), Ok(Engine::Qemu));
    }

    #[test]
    fn a_wanted_engine_is_taken_or_none() {
        assert_eq!(on(Some(Engine::Kvm), true, PVM, true), Ok(Engine::Kvm));
        assert_eq!(on(Some(Engine::Qemu), true, None, true), Ok(Engine::Qemu));
        assert_eq!(on(Some(Engine::Qemu), false, PVM, true), Ok(Engine::Qemu));
        let error = on(Some(Engine::Kvm), false, None, true).unwrap_err();
        assert_eq!(error, "Cannot open /dev/kvm");
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_mends_it() {
        for (wanted, has_kvm, obstacle, cause) in [
            (Some(Engine::Qemu), true, None, "no QEMU 8.0 or newer"),
            (None, false, None, "Cannot open /dev/kvm"),
            (None, false, PVM, "Cannot open /dev/kvm"),
            (None, true, PVM, "runs no stock kernel"),
        ] {
            let error = on(wanted, has_kvm, obstacle, false).unwrap_err();
            assert!(error.contains(cause) && error.contains("`tabard engine fetch`"), "{error}");
        }
    }

    #[test]
    fn the_command_line_is_above_the_desk_and_qemu_needs_no_kvm() {
        let text = "[desk]\nname = \"T\"\n[guests.a]\nlabel = \"WORK\"\n\
                    kernel = \"builtin:probe\"\nengine = \"kvm\"\n";
        let desk = Desk::parse(text, Path::new("t.toml")).unwrap();
        let found = grounds(&desk, Some(Engine::Qemu), || Some(qemu()));
        assert_eq!(found[0].as_ref().map(Ground::engine), Ok(Engine::Qemu));
        assert!(
            grounds(&desk, Some(Engine::Qemu), || None)[0].as_ref().unwrap_err().contains("QEMU")
        );
    }
}
