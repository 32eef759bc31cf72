//! Patterns and shapes: what tells labels apart when colour does not.

macro_rules! named {
    ($(#[$doc:meta])* $kind:ident: $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $kind {
            /// All of them, in a fixed order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in a desk file, in lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The one of this exact name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

named! {
    /// What fills a banner behind its text.
    Pattern:
    /// Nothing but the colour.
    Plain = "plain",
    /// Upright bars.
    Bars = "bars",
    /// Arrowheads that point right.
    Chevrons = "chevrons",
    /// Round dots in rows.
    Dots = "dots",
    /// A chequerboard.
    Checks = "checks",
    /// Slanted stripes.
    Diagonals = "diagonals",
    /// Wavy lines along the banner.
    Waves = "waves",
    /// Thin crossing lines.
    Grid = "grid",
}

named! {
    /// The badge beside a banner's text.
    Shape:
    /// A filled square.
    Square = "square",
    /// A circle that is not filled.
    Ring = "ring",
    /// A filled triangle, point up.
    Triangle = "triangle",
    /// A filled square on its corner.
    Diamond = "diamond",
    /// A filled circle.
    Disc = "disc",
    /// An upright cross.
    Cross = "cross",
    /// A five-pointed star.
    Star = "star",
    /// A wide, flat bar.
    Bar = "bar",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_patterns_and_shapes() {
        for &pattern in Pattern::ALL {
            assert_eq!(Pattern::from_name(pattern.name()), Some(pattern));
        }
        for &shape in Shape::ALL {
            assert_eq!(Shape::from_name(shape.name()), Some(shape));
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!((Pattern::from_name("Bars"), Shape::from_name("")), (None, None));
    }
}
