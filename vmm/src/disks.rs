//! The threads that wait for disks, so that the session's never does: keys, the pause and the end
//! of a guest come through while the slowest disk is at work. Each volume has threads of its own, so
//! that none waits for another's disk, and several, so that a disk is asked for several things at once.

mod snapshot;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use vmm_sys_util::epoll::{Epoll, EpollEvent};
use vmm_sys_util::eventfd::EventFd;

use crate::devices::block::{Block, Job};
use crate::engine::Watch;
use crate::jail;
use crate::machine::{Shared, lock};

/// It holds no data of a request on its stack.
const STACK_BYTES: usize = 128 << 10;
/// Threads of all volumes together, in equal shares: the jail counts them, and each request that is
/// under way may hold memory.
const MAX_THREADS: usize = 24;

/// The threads. Dropping it ends them, each after the request that it is at.
pub struct Disks {
    volumes: Vec<Shared<Block>>,
    end: EventFd,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Disks {
    /// Starts to serve these volumes, each with the place where its driver's descriptor is waited for
    /// by each edge and never read; the engine puts it in.
    ///
    /// # Errors
    /// When a thread or a descriptor cannot be had.
    pub fn start(volumes: Vec<(Shared<Block>, Watch)>) -> io::Result<Self> {
        let end = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        let served = volumes.iter().map(|(volume, _)| Arc::clone(volume)).collect();
        let mut disks = Self { volumes: served, end, ended: Arc::default(), threads: Vec::new() };
        let share = MAX_THREADS.checked_div(volumes.len()).unwrap_or(0).max(1);
        for (volume, kicks) in volumes {
            // Of threads that wait in one place an edge wakes one, and a level all.
            let more = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
            kicks.add_edge(&more, 0)?;
            kicks.add(&disks.end, 0)?;
            let (ended, epoll, more) = (Arc::clone(&disks.ended), kicks.0, Arc::new(more));
            let worker = Worker { volume, epoll, more, ended };
            for _ in 0..share {
                let worker = worker.clone();
                let thread = std::thread::Builder::new().name("disk".to_owned());
                let thread = thread.stack_size(STACK_BYTES).spawn(move || {
                    match jail::confine(jail::Role::Disks) {
                        Ok(()) => worker.serve(),
                        // The guest's requests stay unanswered.
                        Err(error) => complain!("A thread of a disk cannot be confined: {error}"),
                    }
                })?;
                disks.threads.push(thread);
            }
        }
        Ok(disks)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let _pending = self.end.write(1);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

/// What each thread of a volume knows.
#[derive(Clone)]
struct Worker {
    volume: Shared<Block>,
    epoll: Arc<Epoll>,
    /// Wakes another one.
    more: Arc<EventFd>,
    ended: Arc<AtomicBool>,
}

impl Worker {
    /// Runs one request after the other until it is told to end.
    fn serve(&self) {
        let mut done = None;
        while !self.ended.load(Ordering::Acquire) {
            if let Some(mut job) = self.next(done.take()) {
                job.run();
                done = Some(job);
                continue;
            }
            match self.epoll.wait(-1, &mut [EpollEvent::default()]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing can be waited for any more; the guest's requests stay unanswered.
                Err(_) => return,
            }
        }
    }

    /// Answers the request that is done and takes the next.
    fn next(&self, done: Option<Job>) -> Option<Job> {
        let mut volume = lock(&self.volume);
        if let Some(done) = done {
            volume.device().finish(done);
        }
        let more = volume.serve(0);
        let job = volume.device().take_job();
        drop(volume);
        if more {
            let _pending = self.more.write(1);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use vm_memory::{Bytes, GuestAddress};

    use super::*;
    use crate::devices::testing::{BUFFERS, Driver, used};
    use crate::memory::GuestRam;

    const FLUSH: u32 = 4;
    const READ: u32 = 0;

    /// A volume whose driver has asked for these things.
    struct Asked {
        volume: Shared<Block>,
        watch: Watch,
        kick: EventFd,
        slow: Arc<Mutex<()>>,
        ram: GuestRam,
    }

    fn asked(kinds: &[u32]) -> Asked {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let block = Block::new(file, None, false, 0).unwrap();
        let slow = block.slow();
        let driver = Driver::on(block);
        for (index, kind) in (0u16..).zip(kinds) {
            let (first, place) = (index * 2, BUFFERS + u64::from(index) * 4096);
            driver.ram.write_obj(*kind, GuestAddress(place)).unwrap();
            let room = if *kind == READ { 513 } else { 1 };
            driver.descriptor(0, first, place, 16, 1, first + 1);
            driver.descriptor(0, first + 1, place + 1024, room, 2, 0);
            driver.offer(0, first);
        }
        let (watch, kick) = (Watch::new().unwrap(), EventFd::new(libc::EFD_NONBLOCK).unwrap());
        watch.add_edge(&kick, 0).unwrap();
        kick.write(1).unwrap();
        let Driver { transport, ram, .. } = driver;
        Asked { volume: Arc::new(Mutex::new(transport)), watch, kick, slow, ram }
    }

    fn until_answered(asked: &Asked, count: u16) {
        let begin = Instant::now();
        while asked.ram.read_obj::<u16>(GuestAddress(used(0) + 2)).unwrap() != count {
            assert!(begin.elapsed() < Duration::from_secs(20), "not answered: {count}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_flush_that_takes_its_time_holds_no_read_of_any_volume() {
        let (one, other) = (asked(&[FLUSH, READ, READ]), asked(&[READ]));
        let slow = one.slow.lock().unwrap();
        let volumes = [&one, &other].map(|one| (Arc::clone(&one.volume), one.watch.clone()));
        let disks = Disks::start(volumes.into()).unwrap();

        until_answered(&other, 1);
        until_answered(&one, 2);

        drop(slow);
        until_answered(&one, 3);
        drop(disks);
        one.kick.write(1).unwrap();
    }

    #[test]
    fn flushes_of_one_volume_never_take_the_threads_of_another() {
        let (one, other) = (asked(&[FLUSH; 8]), asked(&[READ, READ, FLUSH]));
        let slow = one.slow.lock().unwrap();
        let volumes = [&one, &other].map(|one| (Arc::clone(&one.volume), one.watch.clone()));
        let disks = Disks::start(volumes.into()).unwrap();

        until_answered(&other, 3);

        drop(slow);
        until_answered(&one, 8);
        drop(disks);
    }
}
