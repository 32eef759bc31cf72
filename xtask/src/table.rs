//! The table of measured figures in a Markdown file.

use serde_json::Value;

/// `text` with the table between the markers of this name made anew, behind a line about the machine.
///
/// # Errors
/// If the markers are not there, in their order.
pub fn replace(text: &str, name: &str, machine: &str, figures: &[Value]) -> Result<String, String> {
    let [begin, end] = ["begin", "end"].map(|which| format!("<!-- {name}:{which} -->"));
    let missing = |mark: &str| format!("the line {mark} is missing");
    let (before, rest) = text.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    Ok(format!("{before}{begin}\n{machine}\n\n{}{end}{after}", markdown(figures)))
}

/// Whether a figure breaks its promise: the figure itself, or its ratio to the peer where the
/// limit is one of the ratio.
#[must_use]
pub fn is_over(figure: &Value) -> bool {
    let limit = figure["limit"].as_f64();
    let held = if limits_ratio(figure) { &figure["ratio"] } else { &figure["value"] };
    let Some((held, limit)) = held.as_f64().zip(limit) else { return false };
    if is_least(figure) { held < limit } else { held > limit }
}

/// Whether more is better, as for a throughput.
fn is_least(figure: &Value) -> bool {
    figure["at_least"] == true
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
        let sign = if is_least(figure) { "≥" } else { "≤" };
        let limit = match (figure["limit"].as_f64(), limits_ratio(figure)) {
            (None, _) => String::new(),
            (Some(_), true) => format!("ratio {sign} {}", number(&figure["limit"])),
            (Some(_), false) => format!("{sign} {} {unit}", number(&figure["limit"])),
        };
        let held = if limits_ratio(figure) { &figure["ratio"] } else { &figure["value"] };
        let kept = match (limit.is_empty() && !figure["value"].is_null(), held.is_null()) {
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
        let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";
        let new = replace(text, "x", "On it.", &[figure(1.0, 2.0, None)]).unwrap();
        assert!(new.starts_with("a\n<!-- x:begin -->\nOn it.\n\n| figure |"));
        let end = "| f | 1.0 ms |  |  |  | ≤ 2.0 ms | yes |\n<!-- x:end -->\nb\n";
        assert!(new.ends_with(end), "{new}");
    }

    #[test]
    fn a_file_without_markers_is_refused() {
        assert!(replace("a\n", "x", "", &[]).is_err());
    }

    #[test]
    fn a_limit_beside_a_peer_limits_the_ratio() {
        assert!(!is_over(&figure(100.0, 1.3, Some(1.2))));
        assert!(is_over(&figure(1.0, 1.3, Some(1.4))));
        assert!(is_over(&figure(2.0, 1.0, None)));
    }

    #[test]
    fn what_a_machine_cannot_measure_is_said_and_breaks_no_promise() {
        for mut figure in [figure(1.0, 2.0, None), figure(1.0, 2.0, Some(1.0))] {
            figure["value"] = Value::Null;
            figure["ratio"] = Value::Null;
            assert!(!is_over(&figure));
            assert!(markdown(&[figure]).ends_with("| not measured |\n"));
        }
    }

    #[test]
    fn a_throughput_is_to_be_no_less_than_its_limit() {
        let mut throughput = figure(2.0, 0.9, Some(0.8));
        throughput["at_least"] = json!(true);
        assert!(is_over(&throughput));
        throughput["ratio"] = json!(1.2);
        assert!(!is_over(&throughput));
        assert!(markdown(&[throughput]).contains("ratio ≥ 0.9 | yes"));
    }
}
