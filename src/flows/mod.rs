//! `tabard check --flows`: everything that can flow on a desk, where, and why. It asks the very
//! function that decides while the desk runs, and looks for what several steps could add up to.

mod svg;

use std::fmt::Write as _;

use tabard_labels::{AccessClass, LabelId};
use tabard_trusted_path::{Authority, Decision, Flow, FlowKind, Reason};

use crate::session::desk::{Access, Desk};

pub use svg::draw;

/// Something that holds information: a guest, or what is attached to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// The label that it wears.
    pub label: LabelId,
    /// What it is cleared for.
    pub class: AccessClass,
}

/// One way that information can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Index of the holder that it leaves.
    pub from: usize,
    /// Index of the holder that it reaches.
    pub to: usize,
    /// By what.
    pub kind: FlowKind,
    /// What becomes of it, by the person who may do most.
    pub decision: Decision,
    /// Who may do that: indices of [`Flows::people`]. Nobody asks for what a volume carries.
    pub by: Vec<usize>,
}

/// A user of the desk, and what the clearance lets the user see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// What the user may do; of somebody before a desk without users, what anybody may.
    pub authority: Authority,
    /// Indices of the guests that the user sees and can reach.
    pub sees: Vec<usize>,
}

/// All holders of a desk and the ways between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flows {
    /// Guests first, then volumes, in the order of the desk file.
    pub holders: Vec<Holder>,
    /// Every pair of guests has one for the clipboard, in the order of the holders.
    pub edges: Vec<Edge>,
    /// The users in the order of the desk file, or whoever is before a desk that has none.
    pub people: Vec<Person>,
}

/// Steps that carry information, without a review, where it may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Names of the holders on the way, both ends included.
    pub path: Vec<String>,
}

/// Everything that can flow on this desk, and who sees what.
#[must_use]
pub fn flows(desk: &Desk) -> Flows {
    let holder = |name: &str, label| {
        let class = desk.labels.get(label)?.class;
        Some(Holder { name: name.to_owned(), label, class })
    };
    let mut holders: Vec<Holder> =
        desk.guests.iter().filter_map(|guest| holder(&guest.name, guest.label)).collect();
    let people = people(desk, &holders);
    let mut edges = Vec::new();
    for (from, source) in holders.iter().enumerate() {
        for (to, destination) in holders.iter().enumerate().filter(|(to, _)| *to != from) {
            let kind = FlowKind::Clipboard;
            let flow = Flow { kind, source: source.class, destination: destination.class };
            let all: Vec<Decision> =
                people.iter().map(|p| desk.policy.decide(&flow, Some(&p.authority))).collect();
            let best = all.iter().copied().min_by_key(|decision| order(*decision));
            let decision = best.unwrap_or(Decision::Refused(Reason::Clearance));
            let may = |index: &usize| {
                order(decision) < 2 && all.get(*index).map(|d| order(*d)) == Some(order(decision))
            };
            let by = (0..people.len()).filter(may).collect();
            edges.push(Edge { from, to, kind, decision, by });
        }
    }
    for (place, volume) in desk.volumes.iter().enumerate() {
        let Some(found) = holder(&volume.name, volume.label) else { continue };
        let at = holders.len();
        for (index, guest) in desk.guests.iter().enumerate() {
            let attached = guest.volumes.iter().find(|one| one.volume == place);
            let (Some(attached), Some(class)) = (attached, holders.get(index).map(|h| h.class))
            else {
                continue;
            };
            let mut edge = |from, to, kind, source, destination| {
                let decision = desk.policy.decide(&Flow { kind, source, destination }, None);
                edges.push(Edge { from, to, kind, decision, by: Vec::new() });
            };
            edge(at, index, FlowKind::VolumeRead, found.class, class);
            if attached.access == Access::Write {
                edge(index, at, FlowKind::VolumeWrite, class, found.class);
            }
        }
        holders.push(found);
    }
    Flows { holders, edges, people }
}

/// Who may be before the screen, and the guests among these that each sees.
fn people(desk: &Desk, guests: &[Holder]) -> Vec<Person> {
    let person = |name: &str, authority: Authority| {
        let seen = guests.iter().enumerate().filter(|(_, g)| authority.is_cleared_for(&g.class));
        Person { name: name.to_owned(), authority, sees: seen.map(|(index, _)| index).collect() }
    };
    if desk.users.users.is_empty() {
        let clearance = tabard_labels::Compartment::TOP;
        return vec![person("", Authority { clearance, downgrade: desk.policy.downgrade })];
    }
    desk.users.users.iter().map(|user| person(&user.name, user.authority)).collect()
}

impl Flows {
    /// Every shortest way by which information could get, without a review, to a holder that it
    /// may not flow to. A single edge is such a way too.
    #[must_use]
    pub fn leaks(&self) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for start in 0..self.holders.len() {
            let before = self.reach(start);
            for (end, _) in before.iter().enumerate().filter(|(_, step)| step.is_some()) {
                let (Some(from), Some(to)) = (self.holders.get(start), self.holders.get(end))
                else {
                    continue;
                };
                if !from.class.can_flow_to(&to.class) {
                    leaks.push(Leak { path: self.path(&before, start, end) });
                }
            }
        }
        leaks
    }

    /// For each holder, the one before it on a shortest way from `start`; nothing for `start` and
    /// for what cannot be reached.
    fn reach(&self, start: usize) -> Vec<Option<usize>> {
        let mut before = vec![None; self.holders.len()];
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            let open = |edge: &&Edge| edge.from == at && edge.decision == Decision::Allowed;
            for edge in self.edges.iter().filter(open) {
                match before.get_mut(edge.to) {
                    Some(slot) if edge.to != start && slot.is_none() => {
                        *slot = Some(at);
                        queue.push_back(edge.to);
                    }
                    _ => {}
                }
            }
        }
        before
    }

    fn path(&self, before: &[Option<usize>], start: usize, end: usize) -> Vec<String> {
        let name = |at: usize| self.holders.get(at).map_or(String::new(), |h| h.name.clone());
        let mut path = vec![name(end)];
        let mut at = end;
        while let Some(Some(previous)) = before.get(at).copied() {
            path.push(name(previous));
            if previous == start {
                break;
            }
            at = previous;
        }
        path.reverse();
        path
    }

    /// The table for a terminal: one line for each way, those that are open first.
    #[must_use]
    pub fn table(&self, desk: &Desk) -> String {
        let text = |label| desk.labels.get(label).map_or("", |label| label.text.as_str());
        let ends = |edge: &Edge| Some((self.holders.get(edge.from)?, self.holders.get(edge.to)?));
        let full = |holder: &Holder| format!("{} [{}]", holder.name, text(holder.label));
        let rows: Vec<(&Edge, String, String)> = self
            .edges
            .iter()
            .filter_map(|edge| ends(edge).map(|(from, to)| (edge, full(from), full(to))))
            .collect();
        let width = |of: fn(&(&Edge, String, String)) -> usize| rows.iter().map(of).max();
        let from_width = width(|row| row.1.len()).unwrap_or(0);
        let to_width = width(|row| row.2.len()).unwrap_or(0);
        let mut table = String::new();
        for rank in 0..3 {
            for (edge, from, to) in rows.iter().filter(|row| order(row.0.decision) == rank) {
                let (word, mut why) = words(edge.decision);
                let by = edge.by.iter().filter_map(|index| self.people.get(*index));
                let by: Vec<&str> = by.map(|person| person.name.as_str()).collect();
                if !by.concat().is_empty() {
                    let _ = write!(why, "; by {}", by.join(", "));
                }
                let kind = edge.kind.name();
                // Writing to a string cannot fail.
                let _ = writeln!(
                    table,
                    "  {word:<8} {kind:<12} {from:<from_width$} -> {to:<to_width$}  {why}"
                );
            }
        }
        for person in self.people.iter().filter(|person| !person.name.is_empty()) {
            let seen = person.sees.iter().filter_map(|index| self.holders.get(*index));
            let seen: Vec<&str> = seen.map(|guest| guest.name.as_str()).collect();
            let may = if person.authority.downgrade { ", may release after a review" } else { "" };
            let _ = writeln!(table, "  user     {} sees {}{may}", person.name, seen.join(", "));
        }
        table
    }
}

fn order(decision: Decision) -> u8 {
    match decision {
        Decision::Allowed => 0,
        Decision::NeedsReview(_) => 1,
        Decision::Refused(_) => 2,
    }
}

/// A decision in a word, and why.
fn words(decision: Decision) -> (&'static str, String) {
    let because = |reason: Reason| reason.to_string();
    match decision {
        Decision::Allowed => ("allowed", "the destination dominates the source".to_owned()),
        Decision::NeedsReview(reason) => ("review", because(reason)),
        Decision::Refused(reason) => ("refused", because(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tabard_labels::{CategorySet, Compartment, Level};

    #[test]
    fn what_a_guest_does_with_a_volume_is_a_way_too() {
        let text = "[desk]\nname = \"T\"\ntheme = \"us\"\n[volumes.data]\npath = \"x\"\n\
                    label = \"SECRET\"\n[guests.one]\nlabel = \"SECRET\"\nkernel = \"k\"\n\
                    volumes = [\"data\"]\n[guests.two]\nlabel = \"TOP SECRET\"\nkernel = \"k\"\n\
                    volumes = [\"data\"]\n";
        let flows = flows(&Desk::parse(text, Path::new("t.toml")).unwrap());

        let of_volumes: Vec<_> = flows
            .edges
            .iter()
            .filter(|edge| edge.kind != FlowKind::Clipboard)
            .map(|edge| (edge.from, edge.to, edge.kind, edge.decision))
            .collect();

        let (read, write) = (FlowKind::VolumeRead, FlowKind::VolumeWrite);
        assert_eq!(
            of_volumes,
            [
                (2, 0, read, Decision::Allowed),
                (0, 2, write, Decision::Allowed),
                (2, 1, read, Decision::Allowed),
            ]
        );
        assert_eq!(flows.leaks(), []);
    }

    fn desk(policy: &str) -> Desk {
        let text = format!(
            "[desk]\nname = \"T\"\ntheme = \"us\"\n{policy}\n\
             [guests.low]\nlabel = \"UNCLASSIFIED\"\nkernel = \"builtin:notepad\"\n\
             [guests.alpha]\nlabel = \"SECRET//ALPHA\"\nkernel = \"builtin:notepad\"\n\
             [guests.bravo]\nlabel = \"SECRET//BRAVO\"\nkernel = \"builtin:notepad\"\n"
        );
        Desk::parse(&text, Path::new("t.toml")).unwrap()
    }

    fn words_of(flows: &Flows) -> Vec<(usize, usize, &'static str)> {
        flows.edges.iter().map(|e| (e.from, e.to, words(e.decision).0)).collect()
    }

    #[test]
    fn only_up_is_open_on_a_desk_that_says_nothing() {
        let found = flows(&desk(""));
        let open: Vec<_> = words_of(&found).into_iter().filter(|w| w.2 == "allowed").collect();
        assert_eq!(open, [(0, 1, "allowed"), (0, 2, "allowed")]);
        assert!(words_of(&found).iter().all(|w| w.2 != "review"));
    }

    #[test]
    fn a_downgrader_may_review_down_and_sideways() {
        let found = flows(&desk("[policy]\ndowngrade = true\n"));
        let down = words_of(&found).into_iter().filter(|w| w.2 == "review").count();
        assert_eq!(down, 4);
        assert_eq!(found.leaks(), []);
    }

    #[test]
    fn users_see_what_they_are_cleared_for_and_move_texts_between_that_only() {
        let users = "[users.ann]\nclearance = \"SECRET\"\ncategories = [\"ALPHA\"]\n\
                     downgrade = true\n[users.bob]\nclearance = \"SECRET\"\n\
                     categories = [\"BRAVO\"]\n";
        let desk = desk(users);
        let found = flows(&desk);

        let sees: Vec<_> = found.people.iter().map(|person| person.sees.clone()).collect();
        assert_eq!(sees, [vec![0, 1], vec![0, 2]]);
        let who = |from, to| {
            let edge = found.edges.iter().find(|edge| (edge.from, edge.to) == (from, to)).unwrap();
            (words(edge.decision).0, edge.by.clone())
        };
        assert_eq!(who(0, 1), ("allowed", vec![0]));
        assert_eq!(who(0, 2), ("allowed", vec![1]));
        assert_eq!(who(1, 0), ("review", vec![0]));
        // Ann may downgrade, but she does not see bravo; Bob may not.
        assert_eq!(who(2, 0), ("refused", vec![]));
        assert_eq!(who(1, 2), ("refused", vec![]));
        let table = found.table(&desk);
        assert!(table.contains("user     ann sees low, alpha, may release after a review"));
        assert!(table.contains("user     bob sees low, bravo\n"));
        assert!(table.contains("more secret than the destination; by ann\n"), "{table}");
    }

    #[test]
    fn without_a_clipboard_nothing_flows() {
        let found = flows(&desk("[policy]\nclipboard = false\ndowngrade = true\n"));
        assert!(words_of(&found).iter().all(|w| w.2 == "refused"));
        assert!(found.table(&desk("")).contains("switches the clipboard off"));
    }

    fn holder(name: &str, level: u8) -> Holder {
        let secrecy = Compartment::new(Level::new(level), CategorySet::EMPTY);
        let class = AccessClass::new(secrecy, Compartment::BOTTOM);
        Holder { name: name.to_owned(), label: LabelId(0), class }
    }

    #[test]
    fn steps_that_lead_down_are_found_and_named() {
        // A shared volume that somebody labelled too low: no step of policy, but a way.
        let kind = FlowKind::VolumeWrite;
        let edge = |from, to, decision| Edge { from, to, kind, decision, by: Vec::new() };
        let mut found = Flows {
            holders: vec![holder("high", 2), holder("shared", 1), holder("low", 0)],
            edges: vec![edge(2, 1, Decision::Allowed), edge(0, 1, Decision::Allowed)],
            people: Vec::new(),
        };
        assert_eq!(found.leaks().len(), 1);
        found.edges.push(edge(1, 2, Decision::Allowed));
        let paths: Vec<_> = found.leaks().into_iter().map(|leak| leak.path.join(" -> ")).collect();
        assert_eq!(paths, ["high -> shared", "high -> shared -> low", "shared -> low"]);
    }

    #[test]
    fn what_needs_a_review_is_no_leak() {
        let edge = Edge {
            from: 0,
            to: 1,
            kind: FlowKind::Clipboard,
            decision: Decision::NeedsReview(Reason::Secrecy),
            by: vec![0],
        };
        let holders = vec![holder("high", 2), holder("low", 0)];
        let found = Flows { holders, edges: vec![edge], ..Flows::default() };
        assert_eq!(found.leaks(), []);
    }
}
