//! Tabard's own pointer may stand over anything that is Tabard's: black with a white outline. A
//! guest's cursor never leaves its guest, so over Tabard's own pixels it counts as absent.

use tabard_view::{OutputView, Picture, Rect};

use super::setter::px;
use super::sheet::Bounds;
use crate::Pictures;

/// The corners, in units from the tip.
const CORNERS: [[f32; 2]; 7] =
    [[0.0, 0.0], [0.0, 16.5], [3.9, 12.9], [6.6, 19.0], [9.5, 17.7], [6.9, 11.8], [12.0, 11.8]];
/// The image, and the place of the tip in it, in units.
const IMAGE: [u32; 2] = [16, 23];
const TIP: u32 = 2;
/// Width of the outline, in units.
const OUTLINE: f32 = 1.4;

/// The arrow on a screen.
pub(super) struct Arrow {
    /// What of the screen it may touch.
    pub(super) rect: Rect,
    tip: [f32; 2],
    unit: f32,
}

impl Arrow {
    /// The arrow, unless there is none or a guest's cursor stands in its place.
    pub(super) fn of(output: &OutputView, pictures: &Pictures) -> Option<Self> {
        let pointer = output.pointer?;
        let guests_own = output.windows().iter().any(|window| {
            pointer.over == Some(window.guest)
                && window.picture == Picture::Live
                && window.frame.content.contains(pointer.x, pointer.y)
                && pictures.get(&window.guest).is_some_and(|picture| picture.cursor.is_some())
        });
        if guests_own {
            return None;
        }
        let scale = output.scale;
        let tip = px(scale, TIP);
        let [width, height] = IMAGE.map(|units| px(scale, units));
        let span = |at: u32, length: u32| {
            let end = at.saturating_add(length).saturating_sub(tip);
            let start = at.saturating_sub(tip);
            (start, end.saturating_sub(start))
        };
        let ((x, width), (y, height)) = (span(pointer.x, width), span(pointer.y, height));
        let rect = Rect { x, y, width, height };
        let unit = f32::from(scale.percent()) / 100.0;
        Some(Self { rect, tip: [pointer.x as f32, pointer.y as f32], unit })
    }

    /// What a pixel under the arrow may look like, when without it these are its bounds.
    pub(super) fn over(&self, x: u32, y: u32, under: Bounds) -> Bounds {
        let [tip_x, tip_y] = self.tip;
        let away = self.distance(x as f32 + 0.5 - tip_x, y as f32 + 0.5 - tip_y);
        let black = (0.5 - away).clamp(0.0, 1.0);
        let all = (0.5 - away + OUTLINE * self.unit).clamp(0.0, 1.0);
        if all == 0.0 {
            return under;
        }
        under.mixed(|_, under| 255.0 * all * (1.0 - black) + f32::from(under) * (1.0 - all))
    }

    /// Pixels to the arrow's edge, negative inside.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let corners = CORNERS.map(|corner| corner.map(|at| at * self.unit));
        let next = corners.into_iter().cycle().skip(1);
        let mut nearest = f32::INFINITY;
        // How often the edge goes around the place: 0 outside.
        let mut winding = 0i8;
        for ([ax, ay], [bx, by]) in corners.into_iter().zip(next) {
            let (edge_x, edge_y, to_x, to_y) = (bx - ax, by - ay, x - ax, y - ay);
            let along = (to_x * edge_x + to_y * edge_y) / (edge_x.powi(2) + edge_y.powi(2));
            let along = along.clamp(0.0, 1.0);
            nearest = nearest.min((to_x - along * edge_x).hypot(to_y - along * edge_y));
            let left_of_edge = edge_x * to_y - edge_y * to_x > 0.0;
            match (ay <= y, by <= y) {
                (true, false) if left_of_edge => winding = winding.saturating_add(1),
                (false, true) if !left_of_edge => winding = winding.saturating_sub(1),
                _ => {}
            }
        }
        if winding == 0 { nearest } else { -nearest }
    }
}
