//! The table of measured figures in a Markdown file.

use serde_json::Value;

const BEGIN: &str = "<!-- measure:begin -->";
const END: &str = "<!-- measure:end -->";

/// `text` with the table between its markers made anew.
///
/// # Errors
/// If the markers are not there, in their order.
pub fn replace(text: &str, figures: &[Value]) -> Result<String, &'static str> {
    let (before, rest) = text.split_once(BEGIN).ok_or("the line measure:begin is missing")?;
    let (_, after) = rest.split_once(END).ok_or("the line measure:end is missing")?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", markdown(figures)))
}

/// Whether a figure breaks its promise: the figure itself, or its ratio to the peer where the
/// limit is one of the ratio.
#[must_use]
pub fn is_over(figure: &Value) -> bool {
    let limit = figure["limit"].as_f64();
    let held = if limits_ratio(figure) { &figure["ratio"] } else { &figure["value"] };
    held.as_f64().zip(limit).is_some_and(|(held, limit)| held > limit)
}

/// A figure with a peer promises how it compares to that peer.
fn limits_ratio(figure: &Value) -> bool {
    figure["peer"].is_string()
}

fn markdown(figures: &[Value]) -> String {
    let mut text = String::from(
        "| figure | measured | peer | peer's | ratio | promised | kept |\n\
         |---|---:|---|---:|---:|---:|---|\n",
    );
    for figure in figures {
        let unit = figure["unit"].as_str().unwrap_or_default();
        let limit = match (figure["limit"].as_f64(), limits_ratio(figure)) {
            (None, _) => String::new(),
            (Some(_), true) => format!("ratio ≤ {}", number(&figure["limit"])),
            (Some(_), false) => format!("≤ {} {unit}", number(&figure["limit"])),
        };
        let kept = match (limit.is_empty(), limits_ratio(figure) && figure["ratio"].is_null()) {
            (true, _) => "",
            (false, true) => "not measured",
            (false, false) if is_over(figure) => "**no**",
            (false, false) => "yes",
        };
        let cells = [
            figure["figure"].as_str().unwrap_or_default().to_owned(),
            with_unit(&figure["value"], unit),
            figure["peer"].as_str().unwrap_or_default().to_owned(),
            with_unit(&figure["peer_value"], unit),
            number(&figure["ratio"]),
            limit,
            kept.to_owned(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn with_unit(value: &Value, unit: &str) -> String {
    if value.is_null() { String::new() } else { format!("{} {unit}", number(value)) }
}

fn number(value: &Value) -> String {
    if value.is_null() { String::new() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn figure(value: f64, limit: f64, ratio: Option<f64>) -> Value {
        let peer = ratio.map(|_| "memcpy");
        json!({ "figure": "f", "value": value, "unit": "ms", "limit": limit,
                "peer": peer, "peer_value": ratio.map(|ratio| value / ratio), "ratio": ratio })
    }

    #[test]
    fn the_rest_of_the_file_stays() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace(&text, &[figure(1.0, 2.0, None)]).unwrap();
        assert!(new.starts_with(&format!("a\n{BEGIN}\n| figure |")));
        assert!(new.ends_with(&format!("| f | 1.0 ms |  |  |  | ≤ 2.0 ms | yes |\n{END}\nb\n")));
    }

    #[test]
    fn a_file_without_markers_is_refused() {
        assert!(replace("a\n", &[]).is_err());
    }

    #[test]
    fn a_limit_beside_a_peer_limits_the_ratio() {
        assert!(!is_over(&figure(100.0, 1.3, Some(1.2))));
        assert!(is_over(&figure(1.0, 1.3, Some(1.4))));
        assert!(is_over(&figure(2.0, 1.0, None)));
    }
}
