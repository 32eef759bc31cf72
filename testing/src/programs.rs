//! Where the programs are that run guests.

use std::path::{Path, PathBuf};

use tabard::session::{Engine, Options};

/// The folder with `tabard-vmm` and `tabard-engine` in it, if neither stands beside the test nor on
/// the path.
const FOLDER: &str = "TABARD_PROGRAMS";
/// The engine of desks that name none: `kvm` or `qemu`.
const ENGINE: &str = "TABARD_TEST_ENGINE";

/// The `tabard-vmm` to run guests with: that of the folder `TABARD_PROGRAMS`, else of the build that
/// the test belongs to, else the one on the path.
///
/// # Panics
/// If there is none; the message says how to get one.
#[must_use]
pub fn vmm() -> PathBuf {
    let own = std::env::current_exe().ok();
    let built = own.iter().flat_map(|own| own.ancestors().skip(1).take(2)).map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = match std::env::var_os(FOLDER) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => built.chain(std::env::split_paths(&path)).collect(),
    };
    let found = folders.iter().map(|folder| folder.join("tabard-vmm")).find(|it| it.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "tabard-vmm is missing. Run `cargo build --workspace` in the repository of Tabard first, \
             or name the folder that it is in by {FOLDER}"
        )
    })
}

/// Options for a desk with its serial logs in this folder, on the engine that `TABARD_TEST_ENGINE` names
/// (`kvm` or `qemu`; else as the desk says).
///
/// # Panics
/// If the variable names no engine.
#[must_use]
pub fn options(vmm: PathBuf, logs: &Path) -> Options {
    let engine = std::env::var(ENGINE).ok().map(|word| match word.as_str() {
        "kvm" => Engine::Kvm,
        "qemu" => Engine::Qemu,
        other => panic!("{ENGINE} is {other:?}; write kvm or qemu"),
    });
    let (logs, notice) = (logs.to_path_buf(), String::new());
    let snapshots = Vec::new();
    Options { vmm, logs, notice, engine, qemu: tabard::run::qemu, snapshots }
}

/// Whether guests run on QEMU where nothing else is said.
#[must_use]
pub fn on_qemu() -> bool {
    std::env::var(ENGINE).is_ok_and(|engine| engine == "qemu")
}

/// A program in the place of `tabard-vmm`, by a name in `folder` that `tabard-engine` stands beside.
pub(crate) fn beside_engine(program: &Path, folder: &Path) -> std::io::Result<PathBuf> {
    let engine = "tabard-engine";
    if program.with_file_name(engine).is_file() {
        return Ok(program.to_path_buf());
    }
    let place = folder.join("program");
    std::fs::create_dir(&place)?;
    std::os::unix::fs::symlink(vmm().with_file_name(engine), place.join(engine))?;
    let name = place.join(program.file_name().unwrap_or_default());
    std::os::unix::fs::symlink(program, &name)?;
    Ok(name)
}
