//! The scale of a screen: integer or fractional, for HiDPI.

/// A scale in percent, 50..=400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(u16);

impl Scale {
    /// One pixel for one unit.
    pub const ONE: Scale = Scale(100);

    /// A scale of so many percent; `None` outside 50..=400.
    #[must_use]
    pub fn from_percent(percent: u16) -> Option<Self> {
        (50..=400).contains(&percent).then_some(Self(percent))
    }

    /// The scale in percent.
    #[must_use]
    pub fn percent(self) -> u16 {
        self.0
    }

    /// A length in units as pixels, rounded to nearest, at least 1 for a positive length.
    #[must_use]
    pub fn px(self, units: u32) -> u32 {
        let scaled = u64::from(units).saturating_mul(u64::from(self.0)).saturating_add(50) / 100;
        let pixels = u32::try_from(scaled).unwrap_or(u32::MAX);
        if units > 0 { pixels.max(1) } else { 0 }
    }
}

impl Default for Scale {
    fn default() -> Self {
        Self::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_and_never_to_nothing() {
        let scale = Scale::from_percent(150).unwrap();
        assert_eq!((scale.px(1), scale.px(3), scale.px(0)), (2, 5, 0));
        assert_eq!(Scale::from_percent(50).unwrap().px(1), 1);
    }
}
