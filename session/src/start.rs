//! From a checked desk to a session that is ready to run: images opened, kernels tried, log
//! folder made. Nothing of a guest runs before all of it has succeeded.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tabard_display::Bell;
use tabard_labels::AccessClass;
use tabard_trusted_path::{
    ConfigError, GuestConfig, LoginConfig, Monitor, MonitorConfig, UserConfig, delay_seconds,
};

use tabard_view::GuestId;

use super::accounts::{Account, AccountsError, accounts_of};
use super::audit::{Audit, Entry, LogError, Names, Unwritten};
use super::confirm::{Confirmer, KEY_FILE};
use super::desk::{Access, Desk, GuestSpec};
use super::engine::{Engine, Ground, Qemu, grounds};
use super::failures::Failures;
use super::guest::{Guest, lacking};
use super::image::Images;
use super::keys;
use super::login::Checker;
use super::preflight;
use super::process::{MachineSpec, probe_jail};
use super::run::Session;
use super::volume::{self, Volume};

/// Serial output kept of one guest, in bytes; a guest that prints for ever fills no disk.
const SERIAL_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Where things are on this host, and what the user asked for besides the desk.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `tabard-vmm` program.
    pub vmm: PathBuf,
    /// The folder for each guest's serial log, `NAME.serial`, and its process's `NAME.messages`.
    pub logs: PathBuf,
    /// Shown in the bar at all times, such as that a window is not a trusted path.
    pub notice: String,
    /// What every guest is to run on, whatever the desk says; `None`: as the desk says.
    pub engine: Option<Engine>,
    /// The QEMU that guests can run on.
    pub qemu: fn() -> Option<Qemu>,
    /// For each guest the line by which a test keeps it and starts it again; none outside of tests.
    pub snapshots: Vec<Arc<OwnedFd>>,
}

/// What keeps a desk from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Guests that cannot be loaded: a line of the desk file, and why.
    #[error("{}", lines(.file, .faults))]
    Guests {
        /// The desk file.
        file: PathBuf,
        /// Line and cause.
        faults: Vec<(usize, String)>,
    },
    /// The jail that the desk demands cannot be had; why, in words.
    #[error("Cannot jail the guests as the desk demands: {0}")]
    Jail(String),
    /// The folder for logs.
    #[error("Cannot write serial logs to {}: {source}. Name another folder with --logs", .path.display())]
    Logs {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The monitor refuses the desk.
    #[error(transparent)]
    Config(ConfigError),
    /// The key that answers to guests are signed with.
    #[error("Cannot use the key for answers {}: {source}. Or name another folder with --logs", .path.display())]
    ConfirmKey {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The password file.
    #[error(transparent)]
    Accounts(AccountsError),
    /// The counts of wrong passwords.
    #[error("Cannot use the counts of wrong passwords beside the logs: {0}")]
    Failures(io::Error),
    /// The thread that checks passwords.
    #[error("Cannot start a thread: {0}. Look at `ulimit -a`")]
    Login(io::Error),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] LogError),
    /// The audit log is full.
    #[error(transparent)]
    Unwritten(Unwritten),
    /// The program `tabard-vmm` is not beside `tabard`.
    #[error(
        "Cannot find {}. Build it with `cargo build --workspace`, or install it beside `tabard`",
        .0.display()
    )]
    NoProgram(PathBuf),
}

/// A line for each fault, as a compiler would say it.
fn lines(file: &Path, faults: &[(usize, String)]) -> String {
    let line = |(line, cause): &(usize, String)| format!("{}:{line}: {cause}", file.display());
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The `tabard-vmm` that belongs to this `tabard`: the one beside it.
///
/// # Errors
/// [`StartError::NoProgram`].
pub fn vmm_program() -> Result<PathBuf, StartError> {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tabard"));
    let program = own.with_file_name("tabard-vmm");
    if program.is_file() { Ok(program) } else { Err(StartError::NoProgram(program)) }
}

/// Opens every guest's images and volumes and, with options, lets each kernel be loaded once by what
/// the guest runs on. Says for each guest what that is, or why there is nothing.
///
/// # Errors
/// [`StartError::Guests`], with every guest's fault.
pub fn check_guests(
    desk: &Desk,
    options: Option<&Options>,
) -> Result<Vec<Result<Engine, String>>, StartError> {
    let specs = load_all(desk, options, false)?.into_iter();
    Ok(specs.map(|spec| spec.ground.map(|ground| ground.engine())).collect())
}

/// Reads the password file, and looks for every user of the desk.
///
/// # Errors
/// [`StartError::Accounts`].
pub fn check_accounts(desk: &Desk) -> Result<(), StartError> {
    accounts(desk).map(drop)
}

/// Makes a session that is ready to run, and its monitor.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub fn prepare(desk: &Desk, options: &Options) -> Result<Session, StartError> {
    if !desk.jail.is_empty() {
        let missing = desk.jail.lacking_in(probe_jail(&options.vmm).map_err(StartError::Jail)?);
        if !missing.is_empty() {
            return Err(StartError::Jail(lacking(missing)));
        }
    }
    let specs = load_all(desk, Some(options), true)?;
    empty_logs(&options.logs, &specs)
        .map_err(|source| StartError::Logs { path: options.logs.clone(), source })?;
    let accounts = accounts(desk)?;
    let (login, failures) = login_config(desk, &accounts, &options.logs)?;
    let wait_seconds = login.wait_seconds;
    let monitor = Monitor::new(MonitorConfig {
        guests: desk
            .guests
            .iter()
            .zip(&specs)
            .zip((0..=u8::MAX).map(GuestId))
            .map(|((guest, spec), id)| GuestConfig {
                name: guest.name.clone(),
                label: guest.label,
                // Every guest's label is in the table; nothing flows out of one that is not.
                class: desk.labels.get(guest.label).map_or(AccessClass::SYSTEM_HIGH, |l| l.class),
                autostart: guest.autostart,
                restart: guest.restart,
                emulated: spec.engine() == Some(Engine::Qemu),
                screen: desk.screen_of(id),
            })
            .collect(),
        layout: desk.layout,
        chord: desk.sak.clone(),
        notice: options.notice.clone(),
        // Without the number of guests, which not every user may know.
        footer: desk.name.clone(),
        policy: desk.policy,
        login,
    })
    .map_err(StartError::Config)?;
    let bell = Bell::default();
    let checker = Checker::start(accounts, failures, &bell).map_err(StartError::Login)?;
    let marking = |guest: &GuestSpec| {
        let text = desk.labels.get(guest.label).map(|label| label.text.clone());
        (guest.name.clone(), text.unwrap_or_default())
    };
    let names = desk.guests.iter().map(marking).collect();
    let confirmer = Confirmer::open(&options.logs, &desk.name, names)
        .map_err(|source| StartError::ConfirmKey { path: options.logs.join(KEY_FILE), source })?;
    // Last: a session whose log has begun can run.
    let audit = begin_audit(desk, options, &specs, &bell)?;
    let mut lines = options.snapshots.iter().cloned();
    let spec = |spec| MachineSpec { snapshots: lines.next(), ..spec };
    let guests = specs.into_iter().map(spec).map(|spec| Guest::new(spec, &bell)).collect();
    let mut session = Session::new(monitor, guests, options.vmm.clone(), confirmer, audit, checker);
    session.wait(wait_seconds);
    Ok(session)
}

/// The accounts of the desk's users, in their order; none on a desk without users.
fn accounts(desk: &Desk) -> Result<Vec<Account>, StartError> {
    if desk.users.users.is_empty() {
        return Ok(Vec::new());
    }
    let file = desk.base.join(&desk.users.passwords);
    let names = desk.users.users.iter().map(|user| user.name.as_str());
    accounts_of(&file, names).map_err(StartError::Accounts)
}

/// What the monitor knows of the users, and the counts of their wrong passwords. What an earlier
/// session made them wait is still to be waited for.
fn login_config(
    desk: &Desk,
    accounts: &[Account],
    logs: &Path,
) -> Result<(LoginConfig, Failures), StartError> {
    let failures = Failures::open(logs).map_err(StartError::Failures)?;
    let mut login = LoginConfig {
        lock_after_minutes: desk.users.lock_after_minutes,
        keep_wireless: desk.keep_wireless,
        ..LoginConfig::default()
    };
    for (user, account) in desk.users.users.iter().zip(accounts) {
        let (wrong, ago) = failures.of(&user.name);
        let left = u64::from(delay_seconds(wrong)).saturating_sub(ago);
        login.wait_seconds = login.wait_seconds.max(u32::try_from(left).unwrap_or(0));
        login.users.push(UserConfig {
            name: user.name.clone(),
            authority: user.authority,
            phrase: account.phrase.clone(),
            failures: wrong,
        });
    }
    Ok((login, failures))
}

/// Opens the audit log, and writes down what is about to run.
fn begin_audit(
    desk: &Desk,
    options: &Options,
    specs: &[MachineSpec],
    bell: &Bell,
) -> Result<Audit, StartError> {
    let beside_logs = || options.logs.join("audit.jsonl");
    let file = desk.audit.file.as_ref().map_or_else(beside_logs, |file| desk.base.join(file));
    let names = Names {
        guests: desk.guests.iter().map(|guest| guest.name.clone()).collect(),
        users: desk.users.users.iter().map(|user| user.name.clone()).collect(),
    };
    let mut audit = Audit::open(&file, desk.audit.on_full, names, bell.clone())?;
    let mut entries = vec![
        Entry::new("start")
            .text("desk", desk.name.as_str())
            .text("version", env!("CARGO_PKG_VERSION")),
        Entry::new("policy")
            .text("file", desk.file.to_string_lossy())
            .text("sha256", desk.sha256.as_str()),
    ];
    for guest in &desk.guests {
        let label = desk.labels.get(guest.label).map_or("", |label| label.text.as_str());
        entries.push(Entry::new("label").text("guest", &*guest.name).text("label", label));
    }
    for spec in specs {
        let engine = spec.engine().map_or("", Engine::name);
        entries.push(Entry::new("engine").text("guest", &*spec.name).text("engine", engine));
    }
    for guest in &desk.guests {
        for attached in &guest.volumes {
            let volume = desk.volumes.get(attached.volume);
            let access = match attached.access {
                Access::Read => "read",
                Access::Write => "write",
                Access::Copy => "copy",
            };
            entries.push(
                Entry::new("volume")
                    .text("guest", guest.name.as_str())
                    .text("volume", volume.map_or("", |volume| volume.name.as_str()))
                    .text("access", access),
            );
        }
    }
    audit.write(entries).map_err(StartError::Unwritten)?;
    Ok(audit)
}

/// Guests append to their logs; what an earlier session left would grow for ever.
fn empty_logs(folder: &Path, specs: &[MachineSpec]) -> io::Result<()> {
    keys::make_folder(folder)?;
    let logs = specs.iter().flat_map(|spec| [Some(&spec.serial_log), spec.messages.as_ref()]);
    logs.flatten().try_for_each(|log| keys::begin(log))
}

/// Opens what every guest boots from, and lets it be loaded once. To `start` them their volumes are
/// locked, and each must have something to run on.
fn load_all(
    desk: &Desk,
    options: Option<&Options>,
    start: bool,
) -> Result<Vec<MachineSpec>, StartError> {
    let mut specs = Vec::new();
    let mut faults = volume::check(desk).err().unwrap_or_default();
    if faults.is_empty() {
        let grounds = options.map_or_else(
            || vec![Err("it was not tried".to_owned()); desk.guests.len()],
            |options| grounds(desk, options.engine, options.qemu),
        );
        for (guest, ground) in desk.guests.iter().zip(grounds) {
            match load(desk, guest, ground, options, start) {
                Ok(spec) => specs.push(spec),
                Err(cause) => faults.push((guest.line, format!("Guest {:?}: {cause}", guest.name))),
            }
        }
    }
    if faults.is_empty() {
        Ok(specs)
    } else {
        Err(StartError::Guests { file: desk.file.clone(), faults })
    }
}

fn load(
    desk: &Desk,
    guest: &GuestSpec,
    ground: Result<Ground, String>,
    options: Option<&Options>,
    start: bool,
) -> Result<MachineSpec, String> {
    let images = Images::open(&guest.kernel, guest.initrd.as_deref(), &guest.cmdline, &desk.base)
        .map_err(|error| error.with("Mend kernel or initrd in the desk file"))?;
    let volumes = guest.volumes.iter().filter_map(|one| Volume::open(desk, *one, start));
    let mut spec = MachineSpec {
        ground,
        jail: desk.jail,
        volumes: volumes.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
        name: guest.name.clone(),
        basic_display: guest.basic_display,
        memory_mib: guest.memory_mib,
        vcpus: guest.vcpus,
        images,
        // While it is only tried it prints nothing that anyone would want to keep.
        serial_log: PathBuf::from("/dev/null"),
        messages: None,
        serial_limit_bytes: SERIAL_LIMIT_BYTES,
        snapshots: None,
    };
    if let Err(why) = spec.ground.as_ref()
        && start
    {
        return Err(why.clone());
    }
    if let Some(options) = options {
        // The embedded guests are part of this program: trying them would only take time.
        if spec.ground.is_ok() && !guest.kernel.starts_with(super::BUILTIN_PREFIX) {
            preflight::load(&options.vmm, &spec)?;
        }
        let log = |kind| options.logs.join(format!("{}.{kind}", file_name(&guest.name)));
        (spec.serial_log, spec.messages) = (log("serial"), Some(log("messages")));
    }
    Ok(spec)
}

/// A guest's or desk's name as a file name, and no other name has the same: what is no letter or digit
/// of ASCII, no `-` and no `_` is escaped as in a URL (RFC 3986, 2.1).
#[must_use]
pub fn file_name(name: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let one = |byte| if safe(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_name_stays_and_no_name_leaves_its_folder() {
        assert_eq!(file_name("mail-2_b"), "mail-2_b");
        assert_eq!(file_name("dev+ops"), "dev%2Bops");
        assert_eq!(file_name("../a b%"), "%2E%2E%2Fa%20b%25");
        // The longest name of a guest, with an ending, is a name that file systems take.
        assert!(file_name(&"+".repeat(64)).len() + ".messages".len() <= 255);
    }

    proptest! {
        #[test]
        fn no_two_names_share_a_file(a in "[ -~]{1,8}", b in "[ -~]{1,8}") {
            let names = [file_name(&a), file_name(&b)];
            prop_assert_eq!(a == b, names[0] == names[1]);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte);
            prop_assert!(names[0].bytes().all(plain));
        }

        #[test]
        fn names_that_differ_in_one_sign_share_no_file(start in "[a-z]{0,3}", a in "[!-/]", b in "[!-/_]") {
            let [one, other] = [&a, &b].map(|sign| file_name(&format!("{start}{sign}ops")));
            prop_assert_eq!(a == b, one == other);
        }
    }
}
