//! Random actions of a user who waits for nothing: keys, switches, plugs, crashes. After each, two
//! things are demanded: every photograph of every screen names the one whom the keys are for, and
//! no other guest was told of them.

use super::desk::{Desk, check, digit};
use super::hands;
use super::heard::Ears;
use super::photo::{Named, named};
use crate::test_host::arguments::Plan;

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Actions of each kind.
    kinds: Vec<(&'static str, u32)>,
    /// Photographs of one screen after an action was over.
    photographs: u32,
    /// The same in the middle of one.
    hasty: u32,
    /// Keys typed without waiting, and those of them that reached the guest that was named.
    keys: u32,
    arrived: u32,
    /// Keys for a guest that had the keyboard already, and did not hear them.
    lost: u32,
    /// Photographs that named another, and keys that reached another.
    pub mismatches: u32,
}

impl Tally {
    /// The figures in words.
    pub fn words(&self) -> String {
        let kinds: Vec<_> =
            self.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        format!(
            "{} random actions ({}); {} photographs after them and {} during them; {} keys and clicks at \
             once, {} arrived, {} lost without need; {} mismatches",
            self.kinds.iter().map(|(_, count)| count).sum::<u32>(),
            kinds.join(", "),
            self.photographs,
            self.hasty,
            self.keys,
            self.arrived,
            self.lost,
            self.mismatches
        )
    }

    /// Counts a photograph that names whom it should, or does not.
    pub fn photograph(&mut self, right: bool) {
        self.photographs += 1;
        self.mismatches += u32::from(!right);
    }

    fn count(&mut self, kind: &'static str) {
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.kinds.push((kind, 1)),
        }
    }
}

/// Keys that mean nothing on the trusted screen, with their codes of linux/input-event-codes.h.
const LETTERS: [(&str, u64); 20] = [
    ("w", 17),
    ("e", 18),
    ("t", 20),
    ("u", 22),
    ("g", 34),
    ("j", 36),
    ("z", 44),
    ("x", 45),
    ("b", 48),
    ("n", 49),
    ("f", 33),
    ("tab", 15),
    ("minus", 12),
    ("equal", 13),
    ("bracket_left", 26),
    ("bracket_right", 27),
    ("semicolon", 39),
    ("apostrophe", 40),
    ("comma", 51),
    ("dot", 52),
];
/// More of them, for what is typed into a guest that has just crashed.
const SPARE: [(&str, u64); 4] = [("f11", 87), ("f12", 88), ("kp_multiply", 55), ("kp_decimal", 83)];
/// The buttons of the pointer.
const BUTTONS: [(&str, u64); 3] = [("left", 272), ("right", 273), ("middle", 274)];
/// The kind of action that only types.
const KEYS: &str = "keys";
/// What a foreign keyboard types.
const KEY_A: u64 = 30;
/// The middle of the screen, in parts of 32,768.
const MIDDLE: u32 = 16_384;

/// A typed key and whom it was for.
struct Typed {
    code: u64,
    target: Named,
    /// Whether the target must hear it: nothing changed before it.
    certain: bool,
    /// Whether low and high have said everything that they were told up to it.
    heard: [bool; 2],
}

/// Plays the actions.
///
/// # Errors
/// A sentence; mismatches are counted and are no error here.
pub fn play(desk: &mut Desk, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let mut dice = Dice(plan.seed);
    let mut user = User { at: Named::Low, guest: Named::Low, typed: Vec::new() };
    desk.go(Named::Low)?;
    desk.mark(Named::Low)?;
    desk.ears.forget();
    for action in 0..plan.actions {
        user.act(desk, &mut dice, action, tally)?;
    }
    for guest in [Named::High, Named::Low] {
        desk.go(guest)?;
        desk.mark(guest)?;
        user.heard(guest);
    }
    user.judge(&mut desk.ears, tally);
    desk.call_trusted()?;
    let up = desk.until_heard("every release", |ears| {
        ears.of(Named::Low).is_up() && ears.of(Named::High).is_up()
    });
    let held = [Named::Low, Named::High].map(|guest| desk.ears.of(guest).held());
    up.map_err(|why| format!("{why}; down are {held:?}; {}", tally.words()))?;
    desk.choose(Named::Low)
}

struct Dice(u64);

impl Dice {
    /// A number below `sides` (xorshift).
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What the user wants and knows.
struct User {
    /// Whom the keys are for.
    at: Named,
    /// The guest that had them last.
    guest: Named,
    /// What was typed and is not judged yet. A key comes again only after it was judged.
    typed: Vec<Typed>,
}

impl User {
    fn act(
        &mut self,
        desk: &mut Desk,
        dice: &mut Dice,
        action: u32,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let (letter, code) = self.free(&LETTERS).unwrap_or(LETTERS[0]);
        let (begun, at) = (action, self.at);
        let (kind, again) = self.begin(desk, dice, tally)?;
        tally.count(kind);
        eprintln!("seat: action {begun}: {kind}, from {at:?} to {:?}, {letter}", self.at);
        // At once, without waiting for the glass: what is typed too early goes nowhere.
        desk.qmp.press(&[letter])?;
        self.typed(code, kind == KEYS && self.at != Named::Trusted);
        tally.keys += 1;
        self.hasty(desk, tally)?;
        desk.settle(self.at, again)?;
        if self.at != Named::Trusted {
            self.heard(self.at);
            self.guest = self.at;
        }
        for glass in desk.look()? {
            let seen = named(&glass);
            tally.photograph(seen == Some(self.at));
            if seen != Some(self.at) {
                eprintln!("seat: {kind} {begun}: {seen:?} is named, the keys go to {:?}", self.at);
                desk.keep("mismatch")?;
            }
        }
        let before = tally.mismatches;
        self.judge(&mut desk.ears, tally);
        check(tally.mismatches == before, || {
            format!("{kind} {begun}, from {at:?} to {:?}", self.at)
        })
    }

    /// Begins one action; what it is, and the key to press again if nothing comes of it.
    fn begin(
        &mut self,
        desk: &mut Desk,
        dice: &mut Dice,
        tally: &mut Tally,
    ) -> Result<(&'static str, &'static str), String> {
        let other = if self.guest == Named::Low { Named::High } else { Named::Low };
        let button = self.free(&BUTTONS);
        // Where nobody has been for long, judging would wait for ever.
        let overdue = self.typed.len() > LETTERS.len() / 2;
        match if overdue { 0 } else { dice.roll(100) } {
            0..48 => {
                let all = [Named::Low, Named::High, Named::Trusted];
                self.at = if overdue { other } else { all[dice.roll(3) as usize] };
                desk.chord()?;
                if self.at == Named::Trusted {
                    return Ok(("switches", ""));
                }
                desk.qmp.press(&[digit(self.at)])?;
                Ok(("switches", digit(self.at)))
            }
            48..62 => Ok((KEYS, "")),
            62..72 => {
                desk.chord()?;
                desk.qmp.press(&[digit(other)])?;
                desk.chord()?;
                self.at = self.guest;
                desk.qmp.press(&[digit(self.at)])?;
                Ok(("changes of mind", digit(self.at)))
            }
            72..80 => {
                let Some((button, code)) = button else { return Ok((KEYS, "")) };
                desk.qmp.click(MIDDLE + dice.roll(4000) as u32, MIDDLE, button)?;
                self.typed(code, false);
                tally.keys += 1;
                Ok(("clicks", ""))
            }
            80..88 => {
                hands::pretend(desk, "keyboard")?;
                hands::pretend_types(desk)?;
                self.hasty(desk, tally)?;
                hands::unpretend(desk)?;
                Ok(("foreign keyboards", ""))
            }
            88..94 => {
                desk.qmp.keys(&[("shift", true)])?;
                desk.replug()?;
                Ok(("pulled keyboards", ""))
            }
            _ => {
                let victim = if dice.roll(2) == 0 { self.guest } else { other };
                desk.crash(victim)?;
                if let Some((key, code)) = self.free(&SPARE) {
                    desk.qmp.press(&[key])?;
                    self.typed(code, false);
                    tally.keys += 1;
                }
                self.hasty(desk, tally)?;
                desk.revive(victim)?;
                self.at = victim;
                Ok(("crashes", ""))
            }
        }
    }

    /// The first of these that is not being judged.
    fn free(&self, keys: &[(&'static str, u64)]) -> Option<(&'static str, u64)> {
        keys.iter().copied().find(|(_, code)| self.typed.iter().all(|typed| typed.code != *code))
    }

    fn typed(&mut self, code: u64, certain: bool) {
        self.typed.push(Typed { code, target: self.at, certain, heard: [false; 2] });
    }

    /// This guest has said everything that it was told up to now.
    fn heard(&mut self, guest: Named) {
        for typed in &mut self.typed {
            typed.heard[usize::from(guest == Named::High)] = true;
        }
    }

    /// A photograph in the middle of it: whatever is shown, it is whole.
    fn hasty(&self, desk: &mut Desk, tally: &mut Tally) -> Result<(), String> {
        for glass in desk.look()? {
            tally.hasty += 1;
            let seen = named(&glass);
            if seen.is_none() || seen == Some(Named::Third) {
                eprintln!("seat: {seen:?} is named on the way to {:?}", self.at);
                desk.keep("mismatch")?;
                tally.mismatches += 1;
            }
        }
        Ok(())
    }

    /// Everything that was typed reached whom it was for, or nobody.
    fn judge(&mut self, ears: &mut Ears, tally: &mut Tally) {
        self.typed.retain(|typed| {
            if typed.heard != [true; 2] {
                return true;
            }
            let got = ears.take_receivers(typed.code);
            let right = got.iter().all(|guest| *guest == typed.target);
            // Muted for a moment by something else, such as a screen that was late.
            if typed.certain && got.is_empty() {
                tally.lost += 1;
            }
            if !right {
                eprintln!("seat: a key for {:?} reached {got:?}", typed.target);
                tally.mismatches += 1;
            }
            tally.arrived += u32::from(!got.is_empty());
            false
        });
        let foreign = ears.take_receivers(KEY_A);
        if !foreign.is_empty() {
            eprintln!("seat: a foreign keyboard typed into {foreign:?}");
            tally.mismatches += 1;
        }
    }
}
