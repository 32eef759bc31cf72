//! The display device for a snapshot: resources, what is shown, the cursor with its image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tabard_wire::{CURSOR_BYTES, CURSOR_SIDE_PX};

use super::resource::snapshot::{Kept as KeptResource, inside, numbers};
use super::{Cursor, EVENT_DISPLAY, Gpu, MAX_BACKING_ENTRIES, MAX_RESOURCES, Resource, Scanout};
use crate::memory::GuestRam;
use crate::rect::is_empty;
use crate::snapshot::{Keep, Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    resources: BTreeMap<u32, KeptResource>,
    /// The resource that is shown, and which part.
    scanout: Option<(u32, [u32; 4])>,
    /// Whether it is visible, and its hot spot.
    cursor: (bool, u8, u8),
    image: Vec<u8>,
    events: u32,
}

impl Gpu {
    /// The driver is to ask for the size of the display.
    pub fn ask_again(&mut self) {
        self.events |= EVENT_DISPLAY;
    }
}

impl Keep for Gpu {
    fn keep(&self) -> Result<Value, Refusal> {
        let mut image = vec![0; usize::try_from(CURSOR_BYTES).unwrap_or(0)];
        if let Some(slice) = self.surface.cursor() {
            slice.copy_to(&mut image);
        }
        value(&Kept {
            resources: self.resources.iter().map(|(id, one)| (*id, one.kept())).collect(),
            scanout: self.scanout.map(|scanout| (scanout.resource, numbers(scanout.part))),
            cursor: (self.cursor.visible, self.cursor.hot_x, self.cursor.hot_y),
            image,
            events: self.events,
        })
    }

    fn restore(&mut self, kept: Value, ram: &GuestRam) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        if kept.resources.len() > MAX_RESOURCES || kept.resources.contains_key(&0) {
            return Err(Refusal::Malformed);
        }
        for (id, one) in &kept.resources {
            let resource = Resource::of(one, ram)?;
            self.entries = self.entries.saturating_add(resource.backing.len());
            self.resources.insert(*id, resource);
        }
        if self.entries > MAX_BACKING_ENTRIES {
            return Err(Refusal::Malformed);
        }
        if let Some((id, rect)) = kept.scanout {
            let resource = self.resources.get(&id).ok_or(Refusal::Malformed)?;
            let rect = inside(rect, resource.bounds())?;
            if is_empty(rect) {
                return Err(Refusal::Malformed);
            }
            self.scanout = Some(Scanout { resource: id, part: rect });
        }
        let (visible, hot_x, hot_y) = kept.cursor;
        if u32::from(hot_x.max(hot_y)) >= CURSOR_SIDE_PX {
            return Err(Refusal::Malformed);
        }
        match self.surface.cursor() {
            Some(slice) if slice.len() == kept.image.len() => slice.copy_from(&kept.image),
            _ => return Err(Refusal::Malformed),
        }
        self.cursor = Cursor { visible, hot_x, hot_y };
        self.events = kept.events;
        self.surface.clear();
        self.news.cursor = Some(self.cursor);
        self.show(ram);
        Ok(())
    }
}
