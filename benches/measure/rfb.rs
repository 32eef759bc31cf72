//! As much of a VNC client as it takes to see pixels change: RFB 3.8 (RFC 6143), no security, raw
//! rectangles, and the pseudo-encoding that says when the screen has another size.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;

const RAW: i32 = 0;
const DESKTOP_SIZE: i32 = -223;

/// 32 bits a pixel, 0x00RRGGBB little-endian, true colour (RFC 6143, 7.4).
const PIXEL_FORMAT: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

/// A connection, and the screen as it is known.
pub struct Client {
    stream: UnixStream,
    width: usize,
    height: usize,
    /// Row after row, 0x00RRGGBB.
    pub pixels: Vec<u32>,
}

impl Client {
    /// Shakes hands and asks for the whole screen.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let mut client = Self { stream, width: 0, height: 0, pixels: Vec::new() };
        client.bytes(12)?;
        client.stream.write_all(b"RFB 003.008\n")?;
        let kinds = usize::from(client.bytes(1)?[0]);
        if !client.bytes(kinds)?.contains(&1) {
            return Err(broken("the server asks for a password"));
        }
        client.stream.write_all(&[1])?;
        if client.u32()? != 0 {
            return Err(broken("the server refused"));
        }
        client.stream.write_all(&[1])?;
        let size = (client.u16()?, client.u16()?);
        client.bytes(16)?;
        let name = client.u32()?;
        client.bytes(usize::try_from(name).map_err(|_| broken("an endless name"))?)?;
        client.resize(size);

        let mut hello = vec![0, 0, 0, 0];
        hello.extend(PIXEL_FORMAT);
        hello.extend([2, 0, 0, 2]);
        hello.extend(RAW.to_be_bytes());
        hello.extend(DESKTOP_SIZE.to_be_bytes());
        client.stream.write_all(&hello)?;
        client.request(false)?;
        Ok(client)
    }

    /// Reads updates until one has changed a pixel, then asks for what changes next.
    pub fn change(&mut self) -> Result<()> {
        loop {
            let changed = self.message()?;
            self.request(true)?;
            if changed {
                return Ok(());
            }
        }
    }

    fn request(&mut self, incremental: bool) -> Result<()> {
        let side = |side: usize| u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes();
        let mut request = vec![3, u8::from(incremental), 0, 0, 0, 0];
        request.extend(side(self.width));
        request.extend(side(self.height));
        self.stream.write_all(&request)
    }

    fn message(&mut self) -> Result<bool> {
        match self.bytes(1)?[0] {
            0 => {
                self.bytes(1)?;
                let rectangles = self.u16()?;
                let mut changed = false;
                for _ in 0..rectangles {
                    changed |= self.rectangle()?;
                }
                Ok(changed)
            }
            2 => Ok(false),
            3 => {
                self.bytes(3)?;
                let length = self.u32()?;
                self.bytes(usize::try_from(length).map_err(|_| broken("an endless text"))?)?;
                Ok(false)
            }
            _ => Err(broken("an unknown message")),
        }
    }

    fn rectangle(&mut self) -> Result<bool> {
        let (x, y) = (usize::from(self.u16()?), usize::from(self.u16()?));
        let size = (self.u16()?, self.u16()?);
        let (width, height) = (usize::from(size.0), usize::from(size.1));
        match i32::from_be_bytes(self.array()?) {
            RAW if x + width <= self.width && y + height <= self.height => {
                let data = self.bytes(width * height * 4)?;
                let mut changed = false;
                for (row, line) in data.chunks_exact((width * 4).max(1)).enumerate() {
                    let start = (y + row) * self.width + x;
                    let known = &mut self.pixels[start..start + width];
                    for (pixel, bytes) in known.iter_mut().zip(line.chunks_exact(4)) {
                        let new = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
                        changed |= *pixel != new;
                        *pixel = new;
                    }
                }
                Ok(changed)
            }
            DESKTOP_SIZE => {
                self.resize(size);
                self.request(false)?;
                Ok(true)
            }
            _ => Err(broken("a rectangle that nobody asked for")),
        }
    }

    fn resize(&mut self, (width, height): (u16, u16)) {
        (self.width, self.height) = (usize::from(width), usize::from(height));
        self.pixels = vec![0; self.width * self.height];
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("VNC: {what}"))
}
