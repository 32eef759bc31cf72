//! The figures that labels wear, each as one function of a place: how far the figure's edge is at
//! least, negative inside. Where the answer is small, the edge is near, and its soft pixels may
//! have any coverage; how an edge is drawn is nothing that is known here.

use std::f32::consts::{FRAC_1_SQRT_2, PI, TAU};

use tabard_labels::{Pattern, Shape};

/// Length after which a pattern repeats, in units.
pub(super) fn period_units(pattern: Pattern) -> u32 {
    match pattern {
        Pattern::Plain | Pattern::Dots | Pattern::Grid => 12,
        Pattern::Bars | Pattern::Checks => 14,
        Pattern::Diagonals => 16,
        Pattern::Chevrons | Pattern::Waves => 24,
    }
}

/// How far `at` is from the middle of the period that it lies in.
fn off_middle(at: f32, period: f32) -> f32 {
    (at.rem_euclid(period) - period / 2.0).abs()
}

/// The edge of a pattern's figure. `x` counts from the strip's end inwards, `y` from its middle
/// down, all in pixels.
pub(super) fn pattern(pattern: Pattern, unit: f32, period: f32, (x, y): (f32, f32)) -> f32 {
    let across = off_middle(x, period);
    let down = off_middle(y + period / 2.0, period);
    match pattern {
        Pattern::Plain => f32::INFINITY,
        Pattern::Bars => across - 3.0 * unit,
        Pattern::Chevrons => {
            (off_middle(x + 0.8 * y.abs(), period) - 5.0 * unit) / 0.8f32.hypot(1.0)
        }
        Pattern::Dots => across.hypot(down) - 3.2 * unit,
        Pattern::Checks => {
            let quarter = period / 4.0;
            let (right, low) = (across - quarter, off_middle(y + quarter, period) - quarter);
            let edge = right.abs().min(low.abs());
            if (right < 0.0) == (low < 0.0) { -edge } else { edge }
        }
        Pattern::Diagonals => (off_middle(x + y, period) - 4.0 * unit) * FRAC_1_SQRT_2,
        Pattern::Waves => {
            let wave = 2.6 * unit * (TAU * x / period).sin();
            let steepest = (TAU * 2.6 * unit / period).hypot(1.0);
            (off_middle(y + wave, 9.0 * unit) - 1.9 * unit) / steepest
        }
        Pattern::Grid => across.min(down) - unit,
    }
}

/// The edge of a shape; `x` and `y` count from its middle, 1 being half its side.
pub(super) fn shape(shape: Shape, (x, y): (f32, f32)) -> f32 {
    let (right, down) = (x.abs(), y.abs());
    let boxed = |width: f32, height: f32| (right - width).max(down - height);
    match shape {
        Shape::Square => boxed(0.88, 0.88),
        Shape::Bar => boxed(1.0, 0.36),
        Shape::Ring => (x.hypot(y) - 0.74).abs() - 0.24,
        Shape::Disc => x.hypot(y) - 0.96,
        Shape::Triangle => (y - 0.86).max((1.8 * right - y - 0.94) / 1.8f32.hypot(1.0)),
        Shape::Diamond => (right + down - 1.0) * FRAC_1_SQRT_2,
        Shape::Cross => boxed(0.96, 0.32).min(boxed(0.32, 0.96)),
        Shape::Star => star(x, y - 0.08),
    }
}

/// A star of five points, one of them up: folded into one tenth, it has one straight edge, from
/// its point at 1.06 to its notch at 0.46.
fn star(x: f32, y: f32) -> f32 {
    const POINT: f32 = 1.06;
    const NOTCH: f32 = 0.46;
    let tenth = PI / 5.0;
    let turn = x.abs().atan2(-y);
    let from_point = tenth - ((turn % (2.0 * tenth)) - tenth).abs();
    let (aside, along) = from_point.sin_cos();
    let reach = x.hypot(y);
    let (rise, run) = (NOTCH * tenth.sin(), POINT - NOTCH * tenth.cos());
    (aside * reach * run - (POINT - along * reach) * rise) / rise.hypot(run)
}

/// The edge of a rectangle of this size with round corners.
pub(super) fn rounded((width, height): (f32, f32), radius: f32, (x, y): (f32, f32)) -> f32 {
    // How far beyond where the corners begin; negative within.
    let beyond = |at: f32, length: f32| (at - length / 2.0).abs() - length / 2.0 + radius;
    let (right, down) = (beyond(x, width), beyond(y, height));
    right.max(0.0).hypot(down.max(0.0)) + right.max(down).min(0.0) - radius
}

/// The edge of a stripe of Tabard's own hatch.
pub(super) fn hatch(period: f32, (x, y): (f32, f32)) -> f32 {
    (off_middle(x + y, period) - period / 4.0) * FRAC_1_SQRT_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPES: [Shape; 8] = [
        Shape::Square,
        Shape::Bar,
        Shape::Ring,
        Shape::Disc,
        Shape::Triangle,
        Shape::Diamond,
        Shape::Cross,
        Shape::Star,
    ];
    const PATTERNS: [Pattern; 7] = [
        Pattern::Bars,
        Pattern::Chevrons,
        Pattern::Dots,
        Pattern::Checks,
        Pattern::Diagonals,
        Pattern::Waves,
        Pattern::Grid,
    ];

    #[test]
    fn a_star_has_five_points_and_five_notches() {
        for fifth in 0..5u8 {
            let (sin, cos) = (TAU * f32::from(fifth) / 5.0).sin_cos();
            let up = |reach: f32| star(sin * reach, -cos * reach);
            assert!(up(1.0) < 0.0 && up(1.1) > 0.0);
            let down = |reach: f32| star(-sin * reach, cos * reach);
            assert!(down(0.44) < 0.0 && down(0.5) > 0.0);
        }
    }

    #[test]
    fn every_shape_and_pattern_has_an_inside_and_an_outside() {
        for one in SHAPES {
            assert_eq!(shape(one, (0.0, 0.0)) > 0.0, one == Shape::Ring);
            assert!(shape(one, (1.1, -1.1)) > 0.0);
        }
        for one in PATTERNS {
            let places = (0..100u8).map(|at| f32::from(at) / 4.0);
            let inside = places.filter(|at| pattern(one, 1.0, 24.0, (*at, at / 6.0)) < 0.0);
            assert!((1..100).contains(&inside.count()));
        }
    }

    proptest! {
        /// So that an answer of n says that nothing changes within n.
        #[test]
        fn no_answer_changes_faster_than_the_place(
            place in (-50.0..50.0f32, -50.0..50.0f32), step in (-3.0..3.0f32, -3.0..3.0f32),
        ) {
            let next = (place.0 + step.0, place.1 + step.1);
            let most = step.0.hypot(step.1) + 0.001;
            for one in SHAPES {
                prop_assert!((shape(one, next) - shape(one, place)).abs() <= most);
            }
            for one in PATTERNS {
                let edge = |at| pattern(one, 1.25, 30.0, at);
                prop_assert!((edge(next) - edge(place)).abs() <= most, "{one:?}");
            }
        }
    }
}
