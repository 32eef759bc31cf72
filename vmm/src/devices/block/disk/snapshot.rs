//! An overlay for a snapshot: where each cluster is. The clusters themselves are in its file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Disk, MAX_ZEROED, reads, writes};
use crate::snapshot::Refusal;

/// What is kept of one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptOverlay {
    /// Each cluster of the image that was written, and where it is; nowhere, if it is zero.
    places: Vec<(u64, Option<u64>)>,
    used: u64,
}

impl Disk {
    /// For a snapshot.
    pub(in crate::devices::block) fn kept(&self) -> Option<KeptOverlay> {
        let overlay = reads(self.overlay.as_ref()?);
        let places = overlay.places.iter().map(|(cluster, place)| (*cluster, *place));
        Some(KeptOverlay { places: places.collect(), used: overlay.used })
    }

    /// As it was; its file has what was in it.
    ///
    /// # Errors
    /// `Malformed`.
    pub(in crate::devices::block) fn become_kept(
        &self,
        kept: Option<KeptOverlay>,
    ) -> Result<(), Refusal> {
        let (overlay, kept) = match (&self.overlay, kept) {
            (Some(overlay), Some(kept)) => (overlay, kept),
            (None, None) => return Ok(()),
            // A volume that forgets is none that does not.
            _ => return Err(Refusal::Malformed),
        };
        let mut overlay = writes(overlay);
        let taken: Vec<u64> = kept.places.iter().filter_map(|(_, place)| *place).collect();
        let distinct: BTreeSet<u64> = taken.iter().copied().collect();
        let zeroed = kept.places.len().saturating_sub(taken.len());
        let fits = kept.used <= overlay.room && distinct.iter().all(|place| *place < kept.used);
        if !fits || distinct.len() != taken.len() || zeroed > MAX_ZEROED {
            return Err(Refusal::Malformed);
        }
        overlay.free = (0..kept.used).filter(|place| !distinct.contains(place)).collect();
        (overlay.used, overlay.zeroed) = (kept.used, zeroed);
        overlay.places = kept.places.into_iter().collect();
        Ok(())
    }
}
