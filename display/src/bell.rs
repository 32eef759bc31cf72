//! Wakes a thread that sleeps until any of its channels has something. The channels' own way of
//! waiting gives the processor away first and gets it back when another thread's slice is over,
//! which may be milliseconds later while another processor idles.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use crossbeam_channel::{
    Receiver, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError, bounded,
};

use crate::presenter::WakeOnDrop;

/// Wakes the thread that hears it. Clones are the same bell.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Mutex<Option<Thread>>>);

impl Bell {
    /// A channel whose sender rings this bell.
    #[must_use]
    pub fn channel<T>(&self, capacity: usize) -> (Ringing<T>, Receiver<T>) {
        let (sender, receiver) = bounded(capacity);
        let bell = self.clone();
        let wake = WakeOnDrop(Some(Arc::new(move || bell.ring())));
        (Ringing { sender, wake }, receiver)
    }

    /// From now on it wakes the calling thread, which must look at its channels once after this.
    pub fn hear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
    }

    /// Lets the next or the present [`thread::park`] of whoever hears it return.
    pub fn ring(&self) {
        if let Some(thread) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }

    /// Receives from a channel whose senders ring this bell; the calling thread hears it. Another
    /// channel may have rung meanwhile: look at all of them before sleeping.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_deadline`]; without a deadline only that all senders are gone.
    pub fn receive<T>(
        &self,
        from: &Receiver<T>,
        deadline: Option<Instant>,
    ) -> Result<T, RecvTimeoutError> {
        self.hear();
        loop {
            match from.try_recv() {
                Ok(it) => return Ok(it),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Err(RecvTimeoutError::Timeout),
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }
}

/// A sender that rings after each message, and once it is gone.
pub struct Ringing<T> {
    sender: Sender<T>,
    // After the sender: what rings at the end must find the channel closed already.
    wake: WakeOnDrop,
}

// Not derived: that would ask it of what is sent, too.
impl<T> Clone for Ringing<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), wake: self.wake.clone() }
    }
}

impl<T> Ringing<T> {
    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// If nobody receives.
    pub fn send(&self, it: T) -> Result<(), SendError<T>> {
        self.sender.send(it).inspect(|()| self.wake.wake())
    }

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// If nobody receives, or the channel is full.
    pub fn try_send(&self, it: T) -> Result<(), TrySendError<T>> {
        self.sender.try_send(it).inspect(|()| self.wake.wake())
    }
}

impl<T> fmt::Debug for Ringing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ringing").field(&self.sender).finish()
    }
}

/// For a receiver that waits on the channel itself.
impl<T> From<Sender<T>> for Ringing<T> {
    fn from(sender: Sender<T>) -> Self {
        Self { sender, wake: WakeOnDrop(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_sent_and_the_end_wake_the_receiver() {
        let bell = Bell::default();
        let (sender, receiver) = bell.channel(1);
        let sending = thread::spawn(move || (0..100).try_for_each(|n| sender.send(n)));

        let got: Vec<u32> = std::iter::from_fn(|| bell.receive(&receiver, None).ok()).collect();

        assert!(got.into_iter().eq(0..100));
        sending.join().unwrap().unwrap();
    }

    #[test]
    fn a_deadline_passes_without_a_message() {
        let bell = Bell::default();
        let (_sender, receiver) = bell.channel::<()>(1);
        let deadline = Instant::now().checked_add(Duration::from_millis(1));

        let got = bell.receive(&receiver, deadline);

        assert_eq!(got, Err(RecvTimeoutError::Timeout));
    }
}
