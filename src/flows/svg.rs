//! Draws the flows of a desk: guests around a circle in the colours of their labels, an arrow for
//! each way that is open, a dashed one where a review opens it. What is refused is not drawn.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use tabard_labels::Label;
use tabard_trusted_path::Decision;

use super::{Edge, Flows, Holder};
use crate::session::desk::Desk;
use crate::xml::escape;

const BOX_WIDTH: f64 = 220.0;
const BOX_HEIGHT: f64 = 58.0;
const LEGEND_HEIGHT: f64 = 70.0;

/// The drawing as a whole SVG 1.1 document.
#[must_use]
pub fn draw(flows: &Flows, desk: &Desk) -> String {
    let count = flows.holders.len();
    // The boxes must not touch however many there are.
    let radius = (count as f64 * (BOX_WIDTH + 30.0) / TAU).max(180.0);
    let width = 2.0 * radius + BOX_WIDTH + 60.0;
    let height = 2.0 * radius + BOX_HEIGHT + 60.0 + LEGEND_HEIGHT;
    let (middle_x, middle_y) = (width / 2.0, (height - LEGEND_HEIGHT) / 2.0);
    let place = |index: usize| {
        let angle = TAU * index as f64 / count.max(1) as f64 - TAU / 4.0;
        (middle_x + radius * angle.cos(), middle_y + radius * angle.sin())
    };
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<defs>\
         <marker id=\"a\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" \
         markerHeight=\"9\" orient=\"auto-start-reverse\"><path d=\"M0 1L10 5L0 9z\" \
         fill=\"#333333\"/></marker></defs>",
        escape(&format!("What can flow on desk {}", desk.name))
    );
    for edge in &flows.edges {
        arrow(&mut svg, edge, flows, place(edge.from), place(edge.to));
    }
    for (index, holder) in flows.holders.iter().enumerate() {
        if let Some(label) = desk.labels.get(holder.label) {
            plate(&mut svg, holder, label, place(index));
        }
    }
    let at = height - LEGEND_HEIGHT + 18.0;
    let _ = writeln!(
        svg,
        "<g font-size=\"15\" fill=\"#222222\"><path d=\"M30 {at:.0}h60\" stroke=\"#333333\" \
         stroke-width=\"2\" marker-end=\"url(#a)\"/><text x=\"104\" y=\"{:.0}\">may flow</text>\
         <path d=\"M30 {:.0}h60\" stroke=\"#b3261e\" stroke-width=\"2\" stroke-dasharray=\"7 5\" \
         marker-end=\"url(#a)\"/><text x=\"104\" y=\"{:.0}\">only after a review by somebody who \
         may downgrade</text></g>\n</svg>",
        at + 5.0,
        at + 26.0,
        at + 31.0
    );
    svg
}

fn arrow(svg: &mut String, edge: &Edge, flows: &Flows, from: (f64, f64), to: (f64, f64)) {
    let (colour, dashes) = match edge.decision {
        Decision::Allowed => ("#333333", ""),
        Decision::NeedsReview(_) => ("#b3261e", " stroke-dasharray=\"7 5\""),
        Decision::Refused(_) => return,
    };
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    // From edge to edge of the boxes, and a little to the left, so that two ways do not overlap.
    let inside = (BOX_WIDTH / 2.0 / ux.abs().max(1e-6)).min(BOX_HEIGHT / 2.0 / uy.abs().max(1e-6));
    let (sx, sy) = (-uy * 7.0, ux * 7.0);
    let gap = inside + 6.0;
    let name = |index: usize| flows.holders.get(index).map_or("", |holder| holder.name.as_str());
    let title = format!("{} to {}, {}", name(edge.from), name(edge.to), edge.kind.name());
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\" stroke-width=\"2\"{dashes} \
         marker-end=\"url(#a)\"><title>{}</title></path>",
        from.0 + ux * gap + sx,
        from.1 + uy * gap + sy,
        to.0 - ux * gap + sx,
        to.1 - uy * gap + sy,
        escape(&title)
    );
}

fn plate(svg: &mut String, holder: &Holder, label: &Label, (x, y): (f64, f64)) {
    let look = &label.appearance;
    let (left, top) = (x - BOX_WIDTH / 2.0, y - BOX_HEIGHT / 2.0);
    let _ = writeln!(
        svg,
        "<g text-anchor=\"middle\" fill=\"{}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" \
         width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" fill=\"{}\" stroke=\"#222222\"/>\
         <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"17\" font-weight=\"bold\">{}</text>\
         <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"14\" textLength=\"{:.0}\" \
         lengthAdjust=\"spacingAndGlyphs\">{}</text></g>",
        look.text_color,
        look.color,
        y - 5.0,
        escape(&holder.name),
        y + 17.0,
        (label.text.chars().count() as f64 * 8.6).min(BOX_WIDTH - 20.0),
        escape(&label.text)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn one_arrow_for_each_open_way_and_names_escaped() {
        let text = "[desk]\nname = \"A & B\"\ntheme = \"us\"\n[policy]\ndowngrade = true\n\
             [guests.\"a<b\"]\nlabel = \"UNCLASSIFIED\"\nkernel = \"builtin:notepad\"\n\
             [guests.high]\nlabel = \"SECRET\"\nkernel = \"builtin:notepad\"\n";
        let desk = Desk::parse(text, Path::new("t.toml")).unwrap();

        let svg = draw(&super::super::flows(&desk), &desk);

        // One open, one reviewed, and both in the legend.
        assert_eq!(svg.matches("marker-end").count(), 4);
        assert_eq!(svg.matches("stroke-dasharray").count(), 2);
        assert!(svg.contains("a&lt;b") && svg.contains("A &amp; B"));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }
}
