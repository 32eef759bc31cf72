//! The agent's port on QEMU's virtio-serial: a stream socket, and the monitor's word of who opened it.

use std::os::fd::OwnedFd;

use super::stream::{self, Read};
use crate::agent::Agent;
use crate::devices::Serve;
use crate::devices::console::Port;

/// Most reads of one turn.
const MAX_READS_PER_TURN: usize = 16;

/// The socket and the port behind it.
pub struct SocketPort {
    socket: OwnedFd,
    port: Port,
}

impl SocketPort {
    /// A port that nobody has open.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, port: Port::default() }
    }

    /// The guest opened or closed the port. What the last program wrote and nobody has read goes with
    /// it.
    pub fn set_open(&mut self, open: bool) {
        if !open {
            for _ in 0..MAX_READS_PER_TURN {
                if !matches!(stream::read(&self.socket), Read::Bytes(_)) {
                    break;
                }
            }
        }
        self.port.set_open(open);
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}

/// In the place of the console's queues: what was left of the guest's bytes is taken.
impl Serve for SocketPort {
    fn serve(&mut self, _index: usize) -> bool {
        self.take_more()
    }

    fn queues(&self) -> usize {
        1
    }
}

impl Agent for SocketPort {
    fn port(&mut self) -> &mut Port {
        &mut self.port
    }

    fn take_more(&mut self) -> bool {
        for _ in 0..MAX_READS_PER_TURN {
            // A stream that makes no sense is thrown away until the guest opens the port anew.
            let _sense = self.port.cut();
            // What comes before the monitor's word that the port is open waits for that word.
            if self.port.is_full() || !self.port.is_open() {
                return false;
            }
            match stream::read(&self.socket) {
                Read::Bytes(bytes) => self.port.take(&bytes),
                // QEMU's end is told by `tabard-engine`.
                Read::Nothing | Read::Closed => return false,
            }
        }
        true
    }

    fn send(&mut self) {
        while self.port.waits() {
            let sent = stream::write(&self.socket, self.port.next_bytes(usize::MAX), None);
            if sent == 0 {
                return;
            }
            self.port.sent(sent);
        }
    }
}
