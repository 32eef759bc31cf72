//! Where the pointer is, from absolute or relative events.

use crate::keys::{AXIS_X, AXIS_Y, BTN_LEFT, EV_ABS, EV_KEY, EV_REL, REL_WHEEL};

/// The state of a pointer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    /// Pixels from the left edge.
    pub x: i32,
    /// Pixels from the upper edge.
    pub y: i32,
    /// Whether the left button is held.
    pub pressed: bool,
    /// Notches that the wheel was turned away from the user since it was last set to 0.
    pub wheel: i32,
}

impl Pointer {
    /// Takes one event. `max` is the highest value of each absolute axis, `size` the size of the
    /// picture in pixels.
    pub fn event(&mut self, event: (u16, u16, i32), max: (u32, u32), size: (u32, u32)) {
        let (kind, code, value) = event;
        match (kind, code) {
            (EV_KEY, BTN_LEFT) => self.pressed = value != 0,
            (EV_ABS, AXIS_X) => self.x = scale(value, max.0, size.0),
            (EV_ABS, AXIS_Y) => self.y = scale(value, max.1, size.1),
            (EV_REL, AXIS_X) => self.x = clamp(self.x.saturating_add(value), size.0),
            (EV_REL, AXIS_Y) => self.y = clamp(self.y.saturating_add(value), size.1),
            (EV_REL, REL_WHEEL) => self.wheel = self.wheel.saturating_add(value),
            _ => {}
        }
    }
}

/// `value` of 0 to `max` as a pixel of `size`.
fn scale(value: i32, max: u32, size: u32) -> i32 {
    let value = u64::try_from(value).unwrap_or(0);
    let pixel = value * u64::from(size) / (u64::from(max) + 1);
    clamp(i32::try_from(pixel).unwrap_or(i32::MAX), size)
}

fn clamp(pixel: i32, size: u32) -> i32 {
    pixel.clamp(0, size.saturating_sub(1) as i32)
}

#[cfg(test)]
mod tests {
    use super::Pointer;
    use crate::keys::{AXIS_X, AXIS_Y, EV_ABS, EV_REL};

    #[test]
    fn absolute_axes_reach_both_edges() {
        let mut pointer = Pointer::default();
        pointer.event((EV_ABS, AXIS_X, 32767), (32767, 32767), (1280, 800));
        pointer.event((EV_ABS, AXIS_Y, 0), (32767, 32767), (1280, 800));
        assert_eq!((pointer.x, pointer.y), (1279, 0));
    }

    #[test]
    fn values_beyond_the_axis_stay_on_the_picture() {
        let mut pointer = Pointer::default();
        pointer.event((EV_ABS, AXIS_X, i32::MAX), (100, 100), (1280, 800));
        pointer.event((EV_ABS, AXIS_Y, -7), (100, 100), (1280, 800));
        assert_eq!((pointer.x, pointer.y), (1279, 0));
    }

    #[test]
    fn relative_moves_stop_at_the_edge() {
        let mut pointer = Pointer::default();
        pointer.event((EV_REL, AXIS_X, -5), (0, 0), (1280, 800));
        pointer.event((EV_REL, AXIS_Y, 5000), (0, 0), (1280, 800));
        assert_eq!((pointer.x, pointer.y), (0, 799));
    }
}
