//! Tells QEMU's part of the display device that the window has another size, which is the only thing
//! that is said to it: one call, `SetUIInfo`, of its D-Bus display (QEMU, `ui/dbus-display1.xml`; D-Bus
//! specification 0.43). What it says is read and thrown away.

use std::os::fd::OwnedFd;

use tabard_wire::SurfaceGeometry;

use super::stream::{self, Read};

/// Longest line of the greeting.
const MAX_LINE_BYTES: usize = 512;

/// The socket of the display.
pub struct Display {
    socket: OwnedFd,
    state: State,
    /// The user that QEMU takes this side for.
    user: u32,
    /// The size that is to be told.
    size: Option<(u32, u32)>,
    serial: u32,
}

enum State {
    /// QEMU has the other end and may have said a part of its answer.
    Greeting(Vec<u8>),
    Open,
    /// It refused or went away: the guest keeps its size.
    Deaf,
}

impl Display {
    /// Greets QEMU, which is given the other end.
    #[must_use]
    pub fn new(socket: OwnedFd, user: u32) -> Self {
        let name: String = user.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        let greeting = format!("\0AUTH EXTERNAL {name}\r\n");
        let sent = stream::write(&socket, greeting.as_bytes(), None);
        let whole = sent == greeting.len();
        let state = if whole { State::Greeting(Vec::new()) } else { State::Deaf };
        Self { socket, state, user, size: None, serial: 0 }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Tells the size now, or as soon as QEMU has greeted back.
    pub fn tell(&mut self, geometry: SurfaceGeometry) {
        self.size = Some((geometry.width_px(), geometry.height_px()));
        self.flush();
    }

    fn flush(&mut self) {
        if let (State::Open, Some((width, height))) = (&self.state, self.size) {
            self.serial = self.serial.wrapping_add(1).max(1);
            let call = call(width, height, self.serial);
            // A QEMU that does not read keeps the old size.
            if stream::write(&self.socket, &call, None) == call.len() {
                self.size = None;
            } else {
                self.state = State::Deaf;
            }
        }
    }

    /// Reads what QEMU says; `false` once there is nothing more to wait for.
    pub fn hear(&mut self) -> bool {
        let bytes = match stream::read(&self.socket) {
            Read::Bytes(bytes) => bytes,
            Read::Nothing => return true,
            Read::Closed => {
                self.state = State::Deaf;
                return false;
            }
        };
        if let State::Greeting(line) = &mut self.state {
            line.extend(bytes);
            if line.len() > MAX_LINE_BYTES {
                self.state = State::Deaf;
                return false;
            }
            if line.ends_with(b"\r\n") {
                let welcome = line.starts_with(b"OK ");
                let begun = welcome && stream::write(&self.socket, b"BEGIN\r\n", None) == 7;
                if !begun {
                    let words = String::from_utf8_lossy(line).into_owned();
                    complain!("QEMU's display refuses user {}: {words:?}", self.user);
                }
                self.state = if begun { State::Open } else { State::Deaf };
                self.flush();
            }
        }
        true
    }
}

/// A method call without an answer, in little-endian marshalling.
fn call(width: u32, height: u32, serial: u32) -> Vec<u8> {
    // Millimetres as of a screen with 96 dots an inch; then an offset of nothing.
    let millimetres = |pixels: u32| {
        u16::try_from(pixels.saturating_mul(254) / 960).unwrap_or(u16::MAX).to_le_bytes()
    };
    let mut body = Vec::new();
    body.extend(millimetres(width));
    body.extend(millimetres(height));
    body.extend([0; 8]);
    body.extend(width.to_le_bytes());
    body.extend(height.to_le_bytes());

    let mut fields = Vec::new();
    for (code, kind, value) in [
        (1, b'o', "/org/qemu/Display1/Console_0"),
        (2, b's', "org.qemu.Display1.Console"),
        (3, b's', "SetUIInfo"),
    ] {
        pad(&mut fields);
        fields.extend([code, 1, kind, 0]);
        fields.extend(u32::try_from(value.len()).unwrap_or(0).to_le_bytes());
        fields.extend(value.bytes().chain([0]));
    }
    pad(&mut fields);
    fields.extend([8, 1, b'g', 0, 6]);
    fields.extend(b"qqiiuu\0");

    // Little-endian, a call, no answer wanted, version 1.
    let mut message = vec![b'l', 1, 1, 1];
    for word in [body.len(), usize::try_from(serial).unwrap_or(1), fields.len()] {
        message.extend(u32::try_from(word).unwrap_or(0).to_le_bytes());
    }
    message.extend(fields);
    pad(&mut message);
    message.extend(body);
    message
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_size_waits_until_qemu_has_greeted_and_goes_out_once() {
        let (ours, mut qemu) = UnixStream::pair().unwrap();
        let mut display = Display::new(ours.into(), 1000);
        display.tell(SurfaceGeometry::new(1024, 700).unwrap());
        let mut bytes = vec![0; 200];
        let length = qemu.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"\0AUTH EXTERNAL 31303030\r\n");

        qemu.write_all(b"OK 1234\r\n").unwrap();
        assert!(display.hear());

        let mut bytes = vec![0; 500];
        let length = qemu.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..7], b"BEGIN\r\n");
        let message = &bytes[7..length];
        assert_eq!(message.len() % 4, 0);
        assert_eq!(&message[message.len() - 8..], [0, 4, 0, 0, 0xbc, 2, 0, 0]);
    }

    #[test]
    fn a_refusal_is_not_asked_again() {
        let (ours, mut qemu) = UnixStream::pair().unwrap();
        let mut display = Display::new(ours.into(), 0);
        qemu.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
        display.hear();
        display.tell(SurfaceGeometry::new(1024, 700).unwrap());
        let mut bytes = vec![0; 200];
        let length = qemu.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"\0AUTH EXTERNAL 30\r\n");
        qemu.set_nonblocking(true).unwrap();
        assert!(qemu.read(&mut bytes).is_err());
    }
}
