//! The thread that waits for disks, so that the session's never does: keys, the pause and the end
//! of a guest come through while the slowest disk is at work.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use vmm_sys_util::epoll::{Epoll, EpollEvent};
use vmm_sys_util::eventfd::EventFd;

use crate::devices::Attached;
use crate::devices::block::{Block, Job};
use crate::engine::Watch;
use crate::jail;
use crate::machine::{Shared, lock};

/// It holds no data of a request on its stack.
const STACK_BYTES: usize = 128 << 10;
const TOKEN_END: u64 = u64::MAX;

/// The thread. Dropping it ends it, after the request that it is at.
pub struct Disks {
    end: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Disks {
    /// Starts to serve these volumes. Their drivers' descriptors are waited for by each edge and never
    /// read; the engine puts them in, with the volumes' places as tokens.
    ///
    /// # Errors
    /// When the thread or a descriptor cannot be had.
    pub fn start(volumes: Vec<Shared<Block>>, kicks: &Watch) -> io::Result<Self> {
        let end = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        kicks.add(&end, TOKEN_END)?;
        let epoll = Arc::clone(&kicks.0);
        let thread = std::thread::Builder::new().name("disks".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || match jail::confine(jail::Role::Disks) {
            Ok(()) => serve(&epoll, &volumes),
            // The guest's requests stay unanswered.
            Err(error) => complain!("The thread of the disks cannot be confined: {error}"),
        })?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        let _pending = self.end.write(1);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Runs one request of each volume in turn until it is told to end.
fn serve(epoll: &Epoll, volumes: &[Shared<Block>]) {
    let mut jobs: Vec<Option<Job>> = volumes.iter().map(|_| None).collect();
    loop {
        let idle = jobs.iter().all(Option::is_none);
        let mut events = [EpollEvent::default(); 16];
        let count = match epoll.wait(if idle { -1 } else { 0 }, &mut events) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            // Nothing can be waited for any more; the guest's requests stay unanswered.
            Err(_) => return,
        };
        for event in events.iter().take(count) {
            let index = match event.data() {
                TOKEN_END => return,
                token => usize::try_from(token).unwrap_or(usize::MAX),
            };
            let (Some(volume), Some(job)) = (volumes.get(index), jobs.get_mut(index)) else {
                continue;
            };
            if job.is_none() {
                *job = next(volume, None);
            }
        }
        for (volume, slot) in volumes.iter().zip(&mut jobs) {
            if let Some(mut job) = slot.take() {
                job.run();
                *slot = next(volume, Some(job));
            }
        }
    }
}

/// Answers the request that is done and takes the next.
fn next(volume: &Mutex<dyn Attached<Block>>, done: Option<Job>) -> Option<Job> {
    let mut volume = lock(volume);
    if let Some(done) = done {
        volume.device().finish(done);
    }
    volume.serve(0);
    volume.device().take_job()
}
