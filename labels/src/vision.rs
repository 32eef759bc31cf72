//! How far apart two colours look, to every kind of eye that will read a banner.

use crate::Rgb;

/// A kind of colour vision; the three dichromacies are the strongest form of each deficiency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vision {
    /// All three cones.
    Normal,
    /// No long-wavelength cones ("red-blind").
    Protanopia,
    /// No medium-wavelength cones ("green-blind").
    Deuteranopia,
    /// No short-wavelength cones ("blue-blind").
    Tritanopia,
}

impl Vision {
    /// All four kinds.
    pub const ALL: [Self; 4] =
        [Self::Normal, Self::Protanopia, Self::Deuteranopia, Self::Tritanopia];

    /// The colour in linear light as this eye sees it.
    ///
    /// Matrices of severity 1.0 from Machado, Oliveira and Fernandes, "A Physiologically-based
    /// Model for Simulation of Color Vision Deficiency" (IEEE TVCG 15(6), 2009), applied to linear
    /// RGB.
    fn simulate(self, color: Rgb) -> [f64; 3] {
        let [r, g, b] = color.to_linear();
        let matrix = match self {
            Self::Normal => return [r, g, b],
            Self::Protanopia => [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            Self::Deuteranopia => [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
            Self::Tritanopia => [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        };
        matrix.map(|[x, y, z]| (x * r + y * g + z * b).clamp(0.0, 1.0))
    }

    /// CIEDE2000 distance between the two colours as this eye sees them: 0 is the same, 1 just
    /// noticeable side by side, 20 plainly another colour.
    #[must_use]
    pub fn distance(self, a: Rgb, b: Rgb) -> f64 {
        delta_e(to_lab(self.simulate(a)), to_lab(self.simulate(b)))
    }

    /// The smallest [`Vision::distance`] of all four kinds.
    #[must_use]
    pub fn worst_distance(a: Rgb, b: Rgb) -> f64 {
        Self::ALL.iter().map(|vision| vision.distance(a, b)).fold(f64::INFINITY, f64::min)
    }
}

/// Linear sRGB to CIE L*a*b* under D65 (CIE 15:2004; matrix of IEC 61966-2-1).
fn to_lab([r, g, b]: [f64; 3]) -> [f64; 3] {
    let x = (0.412_4 * r + 0.357_6 * g + 0.180_5 * b) / 0.950_5;
    let y = 0.212_6 * r + 0.715_2 * g + 0.072_2 * b;
    let z = (0.019_3 * r + 0.119_2 * g + 0.950_5 * b) / 1.089;
    let f = |t: f64| {
        if t > 216.0 / 24_389.0 { t.cbrt() } else { (24_389.0 / 27.0 * t + 16.0) / 116.0 }
    };
    [116.0 * f(y) - 16.0, 500.0 * (f(x) - f(y)), 200.0 * (f(y) - f(z))]
}

/// CIEDE2000 between two L*a*b* colours, all weights 1.
///
/// Names and steps follow Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula" (Color
/// Research and Application 30(1), 2005).
#[must_use]
pub fn delta_e([l1, a1, b1]: [f64; 3], [l2, a2, b2]: [f64; 3]) -> f64 {
    let pow7_ratio = |c: f64| (c.powi(7) / (c.powi(7) + 25f64.powi(7))).sqrt();
    let g = 0.5 * (1.0 - pow7_ratio((a1.hypot(b1) + a2.hypot(b2)) / 2.0));
    let (a1, a2) = ((1.0 + g) * a1, (1.0 + g) * a2);
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| b.atan2(a).to_degrees().rem_euclid(360.0);
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));

    // A grey has no hue: it takes that of the other colour.
    let grey = c1 * c2 == 0.0;
    let turn = match h2 - h1 {
        _ if grey => 0.0,
        turn if turn > 180.0 => turn - 360.0,
        turn if turn < -180.0 => turn + 360.0,
        turn => turn,
    };
    let mean_hue = match h1 + h2 {
        sum if grey => sum,
        sum if (h1 - h2).abs() <= 180.0 => sum / 2.0,
        sum if sum < 360.0 => (sum + 360.0) / 2.0,
        sum => (sum - 360.0) / 2.0,
    };
    let (mean_l, mean_c) = ((l1 + l2) / 2.0, (c1 + c2) / 2.0);
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(mean_hue - 30.0)
        + 0.24 * cos(2.0 * mean_hue)
        + 0.32 * cos(3.0 * mean_hue + 6.0)
        - 0.20 * cos(4.0 * mean_hue - 63.0);
    let l_off = (mean_l - 50.0).powi(2);
    let s_l = 1.0 + 0.015 * l_off / (20.0 + l_off).sqrt();
    let s_c = 1.0 + 0.045 * mean_c;
    let s_h = 1.0 + 0.015 * mean_c * t;
    let rotation = 30.0 * (-((mean_hue - 275.0) / 25.0).powi(2)).exp();
    let r_t = -2.0 * pow7_ratio(mean_c) * (2.0 * rotation).to_radians().sin();

    let l = (l2 - l1) / s_l;
    let c = (c2 - c1) / s_c;
    let h = 2.0 * (c1 * c2).sqrt() * (turn / 2.0).to_radians().sin() / s_h;
    (l * l + c * c + h * h + r_t * c * h).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciede2000_agrees_with_its_published_test_data() {
        // Rows of table 1 of Sharma, Wu and Dalal: hue across zero, rotation, greys, large, dark.
        let rows = [
            ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
            ([50.0, 3.1571, -77.2803], [50.0, 0.0, -82.7485], 2.8615),
            ([50.0, -1.3802, -84.2814], [50.0, 0.0, -82.7485], 1.0000),
            ([50.0, 0.0, 0.0], [50.0, -1.0, 2.0], 2.3669),
            ([50.0, 2.49, -0.001], [50.0, -2.49, 0.0009], 7.1792),
            ([50.0, 2.49, -0.001], [50.0, -2.49, 0.0011], 7.2195),
            ([50.0, 2.5, 0.0], [50.0, 0.0, -2.5], 4.3065),
            ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
            ([50.0, 2.5, 0.0], [61.0, -5.0, 29.0], 22.8977),
            ([50.0, 2.5, 0.0], [56.0, -27.0, -3.0], 31.9030),
            ([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
            ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
        ];
        for (a, b, expected) in rows {
            assert!((delta_e(a, b) - expected).abs() < 5e-5, "{a:?} {b:?} {}", delta_e(a, b));
            assert!((delta_e(b, a) - expected).abs() < 5e-5, "{b:?} {a:?}");
        }
    }

    #[test]
    fn black_and_white_are_100_apart_for_every_eye() {
        for vision in Vision::ALL {
            let distance = vision.distance(Rgb::BLACK, Rgb::WHITE);
            assert!((distance - 100.0).abs() < 0.1, "{vision:?} {distance}");
        }
    }

    #[test]
    fn red_and_green_of_one_lightness_merge_for_a_deuteranope_only() {
        let (red, green) = (Rgb::new(0xc8, 0x10, 0x2e), Rgb::new(0x00, 0x7a, 0x33));

        assert!(Vision::Normal.distance(red, green) > 60.0);
        assert!(Vision::Tritanopia.distance(red, green) > 50.0);
        assert!(Vision::Deuteranopia.distance(red, green) < 20.0);
        assert!(Vision::worst_distance(red, green) < 20.0);
    }

    #[test]
    fn a_color_is_no_distance_from_itself() {
        for color in [Rgb::BLACK, Rgb::WHITE, Rgb::new(128, 128, 128), Rgb::new(255, 0, 0)] {
            assert!(Vision::ALL.iter().all(|vision| vision.distance(color, color) < 1e-6));
        }
    }
}
