//! Takes a virtual processor out of the guest: a signal whose handler asks KVM to leave at once,
//! so that a kick just before `KVM_RUN` is not lost.

mod snapshot;

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::raw::{c_int, c_void};
use std::sync::atomic::{AtomicU8, Ordering};

pub use self::snapshot::Kept as KeptProcessor;
use kvm_ioctls::{VcpuExit, VcpuFd};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler, unblock_signal};

thread_local! {
    /// `kvm_run.immediate_exit` of this thread's processor. Constant, without destructor: the
    /// signal handler may read it at any time.
    static EXIT_FLAG: Cell<Option<&'static AtomicU8>> = const { Cell::new(None) };
}

extern "C" fn on_kick(_signal: c_int, _info: *mut libc::siginfo_t, _context: *mut c_void) {
    if let Some(flag) = EXIT_FLAG.get() {
        flag.store(1, Ordering::Relaxed);
    }
}

/// The signal that kicks.
#[must_use]
pub fn signal() -> c_int {
    SIGRTMIN()
}

/// Installs the handler, once for the process.
///
/// # Errors
/// The errno of `sigaction`.
pub fn install() -> Result<(), vmm_sys_util::errno::Error> {
    register_signal_handler(signal(), on_kick)
}

/// Lets a write to a file that has reached its limit fail, as one to a full disk does: by itself it
/// would end the process. Programs that this one becomes keep it so.
pub fn outlive_full_files() {
    // SAFETY: no handler is set, so nothing runs at any time; with numbers that exist it cannot fail.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// A virtual processor that the current thread runs and that [`signal`] takes out of the guest.
pub struct Kickable {
    vcpu: VcpuFd,
    /// The flag belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Kickable {
    /// Binds the processor to the current thread.
    #[must_use]
    pub fn bind(mut vcpu: VcpuFd) -> Self {
        let flag = &raw mut vcpu.get_kvm_run().immediate_exit;
        // SAFETY: the byte is in the mapping that `vcpu` owns, which outlives the reference: the
        // thread's cell is emptied when this value is dropped, before `vcpu`, and a handler on
        // this thread cannot run across that. All accesses while it is shared are atomic.
        let flag = unsafe { AtomicU8::from_ptr(flag) };
        EXIT_FLAG.set(Some(flag));
        // A mask inherited over exec must not swallow the kick; failing is seen by the first one.
        let _already = unblock_signal(signal());
        Self { vcpu, _thread: PhantomData }
    }

    /// Forgets kicks so far. Look at what the kicker wanted after this, not before.
    pub fn forget_kicks(&self) {
        if let Some(flag) = EXIT_FLAG.get() {
            flag.store(0, Ordering::Relaxed);
        }
    }

    /// Runs the guest until it needs something.
    ///
    /// # Errors
    /// The errno of `KVM_RUN`; `EINTR` after a kick.
    pub fn run(&mut self) -> Result<VcpuExit<'_>, kvm_ioctls::Error> {
        self.vcpu.run()
    }

    /// Tells the guest that it stood still, so that its watchdog of locks does not take the time for
    /// its own.
    pub fn stood_still(&self) {
        // A guest without KVM's clock needs not to be told.
        let _none = self.vcpu.kvmclock_ctrl();
    }

    /// Where the guest is, for the log.
    #[must_use]
    pub fn instruction_pointer(&self) -> Option<u64> {
        self.vcpu.get_regs().ok().map(|regs| regs.rip)
    }
}

impl Drop for Kickable {
    fn drop(&mut self) {
        EXIT_FLAG.set(None);
    }
}
