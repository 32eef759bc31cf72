//! The command: reads the command line, calls the module that does the work, turns its error
//! into one clear message and a status. 0: done; 1: a test failed or a session broke; 2: bad
//! input or a host that cannot; 3: the verifier refused a frame; 4: the audit log cannot be written.

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tabard::{
    audit, check, confirm, demo, doctor, engine, image, lock, needle, passwd, run, script, seat,
};

/// A trusted-path virtual KVM switch and multilevel desktop.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a desk of three labelled guests: in a window, or as pictures where there is no display.
    Demo(demo::DemoArgs),
    /// Run the desktop that a desk file describes.
    Run(run::RunArgs),
    /// Run a desk without a screen from a script, and check what it shows and does.
    Test(script::TestArgs),
    /// Use a desk in its window, or by typed steps, and get a script that does the same.
    Record(script::record::RecordArgs),
    /// Make needles, the parts of a picture that scripts look for, and find out what is wrong with some.
    Needle(needle::NeedleArgs),
    /// Read a desk file, try every kernel, say all that is wrong; start nothing.
    Check(check::CheckArgs),
    /// Look at the log of what happened, and find out whether it is whole.
    Audit(audit::AuditArgs),
    /// Check an answer that a guest says the user gave it.
    Confirm(confirm::ConfirmArgs),
    /// Make or change the password of a user of a desk.
    Passwd(passwd::PasswdArgs),
    /// Lock the desk that owns this machine, and wait until its screens show that.
    Lock,
    /// Build the kernel and initrd of a Debian guest.
    Image(image::ImageArgs),
    /// Say which QEMU runs guests that this host's KVM cannot run, or load one.
    Engine(engine::EngineArgs),
    /// Say what this host's KVM, display, input and limits allow, and what mends the rest.
    Doctor,
    /// Hold a terminal for a seat until its session is gone; the session itself starts this.
    #[command(name = seat::SUBCOMMAND, hide = true)]
    Guardian {
        /// The terminal, such as /dev/tty2.
        tty: std::path::PathBuf,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => demo::command(&args),
        Command::Run(args) => run::command(&args),
        Command::Test(args) => script::command(&args),
        Command::Record(args) => script::record::command(&args),
        Command::Needle(args) => needle::command(&args),
        Command::Check(args) => check::command(&args),
        Command::Audit(args) => audit::command(&args),
        Command::Confirm(args) => confirm::command(&args),
        Command::Passwd(args) => passwd::command(&args),
        Command::Lock => lock::command(Path::new(seat::SOCKET)),
        Command::Image(args) => image::command(&args),
        Command::Engine(args) => engine::command(&args),
        Command::Doctor => doctor::command(),
        Command::Guardian { tty } => seat::guard(&tty),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tabard", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}
