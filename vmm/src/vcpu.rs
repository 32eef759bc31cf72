//! The thread of one virtual processor, and the switch that stops and starts them all.

mod snapshot;

use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use kvm_ioctls::{VcpuExit, VcpuFd};
use tabard_wire::StopReason;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::signal::Killable;

use crate::bus::Bus;
use crate::intruder;
use crate::jail;
use crate::kick::{self, KeptProcessor, Kickable};
use crate::ports::power::Request;
use crate::snapshot::Refusal;

/// Stack of a processor's thread: small, there may be 64; a signal frame with the largest
/// register state takes 12 KiB of it.
const STACK_BYTES: usize = 128 << 10;

/// What a processor tells the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The guest asked for a reset.
    Reset,
    /// The guest cannot go on.
    Stopped(StopReason),
    /// An engine that was told to stop stands still.
    Paused,
    /// An engine that was told to go on runs.
    Running,
    /// A machine that was made from a snapshot runs.
    Arrived,
}

/// Where processors leave their events; cloned for each.
pub struct Mailbox {
    /// The events.
    pub sender: Sender<Event>,
    /// Written after each.
    pub wake: EventFd,
}

impl Mailbox {
    /// Another handle to the same mailbox.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self { sender: self.sender.clone(), wake: self.wake.try_clone()? })
    }

    /// Leaves an event.
    pub fn put(&self, event: Event) {
        // Without a receiver the process is ending.
        let _gone = self.sender.send(event);
        let _pending = self.wake.write(1);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Run,
    Pause,
    End,
}

struct State {
    target: Target,
    parked: usize,
    alive: usize,
    /// Processors that were read, while somebody keeps the machine.
    keeping: Option<snapshot::Keeping>,
}

/// The switch.
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, target: Target) {
        self.lock().target = target;
        self.changed.notify_all();
    }

    /// Waits while paused, after `stopped`, and lets the processor of this number be kept meanwhile;
    /// `false` when the thread has to end.
    fn may_run<P>(
        &self,
        processor: &mut P,
        index: usize,
        stopped: impl FnOnce(&P),
        keep: impl Fn(&mut P) -> Result<KeptProcessor, Refusal>,
    ) -> bool {
        let mut state = self.lock();
        if state.target == Target::Pause {
            stopped(processor);
            state.parked = state.parked.saturating_add(1);
            self.changed.notify_all();
            while state.target == Target::Pause {
                if state.wants(index) {
                    let kept = keep(processor);
                    state.keeping.as_mut().map(|all| all.insert(index, kept));
                    self.changed.notify_all();
                }
                state = self.wait(state);
            }
            state.parked = state.parked.saturating_sub(1);
        }
        state.target == Target::Run
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) {
        let mut state = self.lock();
        state.alive = state.alive.saturating_sub(1);
        self.changed.notify_all();
    }

    fn wait_until_parked(&self) {
        let mut state = self.lock();
        while state.parked < state.alive {
            state = self.wait(state);
        }
    }
}

/// All threads of a machine. Dropping it ends and joins them.
pub struct Processors {
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
}

impl Processors {
    /// Starts a thread for each processor; they run at once.
    ///
    /// # Errors
    /// When a thread or descriptor cannot be had; those that were started end again.
    pub fn start(vcpus: Vec<VcpuFd>, bus: &Arc<Bus>, mailbox: &Mailbox) -> std::io::Result<Self> {
        let state = State { target: Target::Run, parked: 0, alive: 0, keeping: None };
        let control = Arc::new(Control { state: Mutex::new(state), changed: Condvar::new() });
        let mut all = Self { control: Arc::clone(&control), threads: Vec::new() };
        for (index, vcpu) in vcpus.into_iter().enumerate() {
            let (bus, control) = (Arc::clone(bus), Arc::clone(&control));
            let mailbox = mailbox.try_clone()?;
            let thread =
                std::thread::Builder::new().name(format!("vcpu{index}")).stack_size(STACK_BYTES);
            {
                let mut state = all.control.lock();
                state.alive = state.alive.saturating_add(1);
            }
            let thread = thread.spawn(move || {
                if let Some(event) = run(vcpu, index, &bus, &control) {
                    mailbox.put(event);
                }
                control.ended();
            })?;
            all.threads.push(thread);
        }
        Ok(all)
    }

    /// Stops all and returns when the last one stands still.
    pub fn pause(&self) {
        self.control.set(Target::Pause);
        self.kick();
        self.control.wait_until_parked();
    }

    /// Lets all run again.
    pub fn resume(&self) {
        self.control.set(Target::Run);
    }

    fn kick(&self) {
        for thread in &self.threads {
            // A thread that has ended needs no kick.
            let _ended = thread.kill(kick::signal());
        }
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        self.control.set(Target::End);
        self.kick();
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

fn run(vcpu: VcpuFd, index: usize, bus: &Bus, control: &Control) -> Option<Event> {
    let mut vcpu = Kickable::bind(vcpu);
    if let Err(error) = jail::confine(jail::Role::Vcpu) {
        complain!("A processor's thread cannot be confined: {error}");
        return Some(Event::Stopped(StopReason::Unexpected));
    }
    intruder::act(jail::Role::Vcpu, &[]);
    loop {
        vcpu.forget_kicks();
        if !control.may_run(&mut vcpu, index, Kickable::stood_still, Kickable::kept) {
            return None;
        }
        let event = match vcpu.run() {
            Ok(exit) => handle(exit, bus),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => None,
            Err(error) => {
                complain!("KVM_RUN failed: {error}");
                Some(Event::Stopped(StopReason::KvmInternal))
            }
        };
        if let Some(event) = event {
            if let Event::Stopped(reason) = event {
                let place = vcpu.instruction_pointer().unwrap_or(0);
                complain!("Guest stopped at {place:#x}: {reason:?}");
            }
            return Some(event);
        }
    }
}

fn handle(exit: VcpuExit<'_>, bus: &Bus) -> Option<Event> {
    match exit {
        VcpuExit::IoIn(port, data) => bus.port_read(port, data),
        VcpuExit::IoOut(port, data) => {
            return bus.port_write(port, data).map(|request| match request {
                Request::Reset => Event::Reset,
                Request::PowerOff => Event::Stopped(StopReason::PowerOff),
                Request::Panic => Event::Stopped(StopReason::Panicked),
            });
        }
        VcpuExit::MmioRead(address, data) => bus.memory_read(address, data),
        VcpuExit::MmioWrite(address, data) => bus.memory_write(address, data),
        VcpuExit::Intr | VcpuExit::IrqWindowOpen => {}
        VcpuExit::Shutdown => return Some(Event::Stopped(StopReason::TripleFault)),
        VcpuExit::InternalError | VcpuExit::FailEntry(..) => {
            return Some(Event::Stopped(StopReason::KvmInternal));
        }
        other => {
            complain!("Exit that cannot happen on this machine: {other:?}");
            return Some(Event::Stopped(StopReason::Unexpected));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_told_of_each_pause_before_it_counts_as_paused() {
        let state = State { target: Target::Pause, parked: 0, alive: 1, keeping: None };
        let control = Control { state: Mutex::new(state), changed: Condvar::new() };
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let keep = |_: &mut ()| Err(Refusal::Engine);
            let told = |_: &()| told.send(()).unwrap();
            let control = &control;
            let runs = scope.spawn(move || control.may_run(&mut (), 0, told, keep));
            control.wait_until_parked();
            assert_eq!(heard.try_recv(), Ok(()));
            control.set(Target::Run);
            assert!(runs.join().unwrap());
        });
        let keep = |_: &mut ()| Err(Refusal::Engine);
        assert!(control.may_run(&mut (), 0, |_| panic!("it was not paused"), keep));
    }
}
