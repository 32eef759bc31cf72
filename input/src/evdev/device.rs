//! One node of `/dev/input`: opened for reading, asked what it is, taken alone, read.

use super::decoder::{Axes, Decoder, Report};
use super::touch;
use crate::SourceId;
use crate::device::{
    BUS_BLUETOOTH, Capabilities, Device, DeviceName, DeviceRules, HostEvent, axis,
};
use evdev::raw_stream::RawDevice;
use evdev::{AbsInfo, PropType};
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Why a node cannot be used.
#[derive(Debug)]
pub(super) enum OpenError {
    /// It does not open or answer.
    Open(io::Error),
    /// Another program has it alone; its name.
    Held(String),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Open(error)
    }
}

/// A device that nobody else hears.
pub(super) struct Opened {
    device: RawDevice,
    decoder: Decoder,
    /// What stays the same when it is pulled out and put in again.
    pub(super) identity: String,
}

impl Opened {
    /// Opens and takes a device; `None` if it is neither keyboard nor pointer.
    pub(super) fn new(
        path: &Path,
        source: SourceId,
        rules: &mut DeviceRules,
    ) -> Result<Option<(Device, Self)>, OpenError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let node = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
        let mut device = RawDevice::from_fd(node)?;
        let capabilities = capabilities(&device);
        let (identity, port, ids) = identity(&device);
        let Some(kind) = rules.judge(&identity, &capabilities) else { return Ok(None) };
        let called = device.name().unwrap_or_default().to_owned();
        if device.grab().is_err() {
            return Err(OpenError::Held(called));
        }
        let pointing = capabilities.pointing().filter(|_| kind.points());
        let (axes, down) = (axes(&device)?, keys_down(&device)?);
        let decoder = Decoder::new(source, kind.types(), pointing, axes, down);
        let name = DeviceName::new(&called);
        Ok(Some((Device { kind, name, port, ids }, Self { device, decoder, identity })))
    }

    /// Takes what waits, at most so many reads. Answers whether the device is still there.
    pub(super) fn read(&mut self, reads: usize, events: &mut Vec<HostEvent>) -> bool {
        for _ in 0..reads {
            let mut lost = false;
            match self.device.fetch_events() {
                Ok(reports) => {
                    for event in reports {
                        let (kind, code) = (event.event_type().0, event.code());
                        let time = event.timestamp().duration_since(UNIX_EPOCH).unwrap_or_default();
                        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                        let report = Report { kind, code, value: event.value(), time_ms };
                        lost |= self.decoder.take(report, events);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            if lost {
                match (keys_down(&self.device), axes(&self.device)) {
                    (Ok(down), Ok(axes)) => self.decoder.resync(&down, &axes, events),
                    _ => return false,
                }
            }
        }
        self.decoder.flush(events);
        true
    }

    /// Whether the device is still plugged in.
    pub(super) fn is_there(&self) -> bool {
        self.device.get_key_state().is_ok()
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn capabilities(device: &RawDevice) -> Capabilities {
    let keys = device.supported_keys().into_iter();
    let relative = device.supported_relative_axes().into_iter();
    let absolute = device.supported_absolute_axes().into_iter();
    Capabilities {
        keys: keys.flat_map(|all| all.iter().map(|key| key.0)).collect(),
        relative: relative.flat_map(|all| all.iter().map(|axis| axis.0)).collect(),
        absolute: absolute.flat_map(|all| all.iter().map(|axis| axis.0)).collect(),
        direct: device.properties().contains(PropType::DIRECT),
    }
}

/// What stays the same when a device is pulled out and put in again, its port alone, and its ids.
fn identity(device: &RawDevice) -> (String, DeviceName, [u16; 3]) {
    let id = device.input_id();
    let (bus, vendor, product) = (id.bus_type().0, id.vendor(), id.product());
    // All wireless ones are on the port of what hears them. Where no port is known, what it calls
    // itself must do, or all of them would be one.
    let own = device.unique_name().filter(|_| bus == BUS_BLUETOOTH);
    let port = own.or(device.physical_path()).filter(|port| !port.is_empty());
    let port = port.or(device.name()).unwrap_or_default();
    let whole = DeviceName::new(port.rsplit_once("/input").map_or(port, |(whole, _)| whole));
    (format!("{bus:04x}:{vendor:04x}:{product:04x} {port}"), whole, [bus, vendor, product])
}

fn axes(device: &RawDevice) -> io::Result<Axes> {
    let mut known = BTreeMap::new();
    // A keyboard has none, and is not asked.
    if device.supported_absolute_axes().is_some() {
        known.extend(device.get_absinfo()?.map(|(code, info)| (code.0, info)));
    }
    let slot = known.get(&touch::ABS_MT_SLOT).map(AbsInfo::value);
    let codes = match slot {
        Some(_) => [touch::ABS_MT_POSITION_X, touch::ABS_MT_POSITION_Y],
        None => [axis::ABS_X, axis::ABS_Y],
    };
    let range = |code| known.get(&code).map_or(0..=1, |info| info.minimum()..=info.maximum());
    let value = |code| known.get(&code).map_or(0, AbsInfo::value);
    let place = [value(axis::ABS_X), value(axis::ABS_Y)];
    Ok(Axes { ranges: codes.map(range), place, slot })
}

fn keys_down(device: &RawDevice) -> io::Result<BTreeSet<u16>> {
    Ok(device.get_key_state()?.iter().map(|key| key.0).collect())
}
