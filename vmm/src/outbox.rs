//! What waits to be sent while `tabard` does not read. Bounded: pictures merge into one
//! rectangle, the newest cursor and scanout replace older ones.

use std::collections::VecDeque;

use tabard_wire::{FromVmm, Rect};

use crate::devices::gpu::{Cursor, News};
use crate::rect::{intersect, is_empty, sized, union};
use crate::wire::{Sent, Wire};

/// Most answers that wait. While there are so many the wire is not read, so that a peer that
/// asks without listening cannot grow this process.
pub const MAX_ANSWERS: usize = 64;

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct Outbox {
    answers: VecDeque<FromVmm>,
    generation: u32,
    scanout: Option<(u32, u32)>,
    cursor: Option<Cursor>,
    damage: Rect,
    lights: Option<[bool; 3]>,
}

impl Outbox {
    /// Adds an answer or a change of state.
    pub fn answer(&mut self, message: FromVmm) {
        self.answers.push_back(message);
    }

    /// Adds a change of state that nobody asked for. One that waits already is not said twice:
    /// a guest that resets itself without end must not grow the queue.
    pub fn announce(&mut self, message: FromVmm) {
        if self.answers.back() != Some(&message) {
            self.answers.push_back(message);
        }
    }

    /// Whether so many answers wait that no more should be asked for.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.answers.len() >= MAX_ANSWERS
    }

    /// A new surface: what is not yet told of the old one is of no use to anyone.
    pub fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
        self.scanout = None;
        self.cursor = None;
        self.damage = Rect::default();
    }

    /// Adds what the display has to tell about the current surface of this size in pixels.
    pub fn add(&mut self, news: News, width: u32, height: u32) {
        self.scanout = news.scanout.or(self.scanout);
        self.cursor = news.cursor.or(self.cursor);
        if let Some(damage) = news.damage.and_then(|rect| intersect(rect, sized(width, height))) {
            self.damage = union(self.damage, damage);
        }
    }

    /// Adds which lights of its keyboard the guest has switched on, if it has switched any.
    pub fn add_lights(&mut self, lights: Option<[bool; 3]>) {
        self.lights = lights.or(self.lights);
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
            && self.scanout.is_none()
            && self.cursor.is_none()
            && is_empty(self.damage)
            && self.lights.is_none()
    }

    /// The next message: answers in order, then the picture's size, its cursor, its damage.
    fn next(&self) -> Option<FromVmm> {
        let generation = self.generation;
        if let Some(answer) = self.answers.front() {
            return Some(*answer);
        }
        if let Some(lights) = self.lights {
            return Some(FromVmm::Lights(lights));
        }
        if let Some((width, height)) = self.scanout {
            return Some(FromVmm::Scanout { generation, width, height });
        }
        if let Some(Cursor { visible, hot_x, hot_y }) = self.cursor {
            return Some(FromVmm::Cursor { generation, visible, hot_x, hot_y });
        }
        (!is_empty(self.damage)).then_some(FromVmm::Damage { generation, rect: self.damage })
    }

    fn sent(&mut self, message: FromVmm) {
        match message {
            FromVmm::Lights(_) => self.lights = None,
            FromVmm::Scanout { .. } => self.scanout = None,
            FromVmm::Cursor { .. } => self.cursor = None,
            FromVmm::Damage { .. } => self.damage = Rect::default(),
            _ => {
                self.answers.pop_front();
            }
        }
    }

    /// Sends until nothing waits or the socket is full.
    pub fn flush(&mut self, wire: &Wire) -> Sent {
        while let Some(message) = self.next() {
            match wire.send(message) {
                Sent::Yes => self.sent(message),
                other => return other,
            }
        }
        Sent::Yes
    }

    /// Sends all answers before the process ends, or as many as `tabard` takes within a second.
    pub fn last_words(&mut self, wire: &Wire) {
        if self.flush(wire) == Sent::Full {
            wire.wait_for_room();
            self.flush(wire);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(x: u32) -> News {
        News { damage: Some(Rect { x, y: 0, width: 1, height: 1 }), ..News::default() }
    }

    #[test]
    fn damage_merges_into_one_rectangle() {
        let mut outbox = Outbox::default();
        outbox.set_generation(1);
        outbox.add(damage(1), 100, 100);
        outbox.add(damage(9), 100, 100);
        let rect = Rect { x: 1, y: 0, width: 9, height: 1 };
        assert_eq!(outbox.next(), Some(FromVmm::Damage { generation: 1, rect }));
    }

    #[test]
    fn a_guest_that_switches_lights_without_end_does_not_grow_the_queue() {
        let mut outbox = Outbox::default();
        for round in 0..1000 {
            outbox.add_lights(Some([round % 2 == 0; 3]));
            outbox.add_lights(None);
        }
        assert_eq!(outbox.next(), Some(FromVmm::Lights([false; 3])));
        outbox.sent(FromVmm::Lights([false; 3]));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_guest_that_resets_without_end_does_not_grow_the_queue() {
        let mut outbox = Outbox::default();
        for _ in 0..1000 {
            outbox.announce(FromVmm::Running);
        }
        assert_eq!(outbox.answers.len(), 1);
    }

    #[test]
    fn a_new_surface_forgets_the_old_damage() {
        let mut outbox = Outbox::default();
        outbox.add(damage(1), 100, 100);
        outbox.set_generation(2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn damage_outside_of_the_surface_is_not_sent() {
        let mut outbox = Outbox::default();
        outbox.add(damage(100), 100, 100);
        assert!(outbox.is_empty());
    }
}
