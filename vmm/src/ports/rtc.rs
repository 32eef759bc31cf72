//! The clock of a PC, an MC146818 in UTC. The guest sets nothing: a time that it writes is
//! dropped, and there are no alarms or periodic interrupts. Linux reads it once, at start.

use std::time::{SystemTime, UNIX_EPOCH};

/// Port of the register's number; its bit 7 masks an interrupt that this machine does not have.
pub const INDEX: u16 = 0x70;
/// Port of the register.
pub const DATA: u16 = 0x71;

const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const REGISTER_C: u8 = 0x0c;
const REGISTER_D: u8 = 0x0d;
const CENTURY: u8 = 0x32;

/// 32.768 kHz base, 1.024 kHz rate, no update in progress.
const A_DIVIDERS: u8 = 0x26;
/// 24-hour mode; bit 2 (binary) is clear: numbers are BCD.
const B_24_HOURS: u8 = 0x02;
/// Time and memory are valid.
const D_VALID: u8 = 0x80;

const SECONDS_PER_DAY: u64 = 86_400;

/// The clock.
#[derive(Debug)]
pub struct Rtc {
    pub(super) index: u8,
    /// Memory for the guest; time and status registers are not in it.
    pub(super) memory: [u8; 128],
    /// Seconds since 1970, UTC.
    now: fn() -> u64,
}

/// A moment as calendars write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    /// 1 is Sunday.
    weekday: u64,
    second_of_day: u64,
}

impl Moment {
    /// From seconds since 1970: days are counted from 1 March 2000 minus five cycles of 400
    /// years, so that the leap day is the last of its year.
    fn new(seconds: u64) -> Self {
        let days = seconds / SECONDS_PER_DAY;
        let shifted = days.saturating_add(719_468);
        let (cycle, in_cycle) = (shifted / 146_097, shifted % 146_097);
        let leap =
            (in_cycle / 1_460).saturating_add(in_cycle / 146_096).saturating_sub(in_cycle / 36_524);
        let year_of_cycle = in_cycle.saturating_sub(leap) / 365;
        let before = year_of_cycle
            .saturating_mul(365)
            .saturating_add(year_of_cycle / 4)
            .saturating_sub(year_of_cycle / 100);
        let day_of_year = in_cycle.saturating_sub(before);
        let from_march = day_of_year.saturating_mul(5).saturating_add(2) / 153;
        let month_start = from_march.saturating_mul(153).saturating_add(2) / 5;
        let month = if from_march < 10 {
            from_march.saturating_add(3)
        } else {
            from_march.saturating_sub(9)
        };
        let year = cycle.saturating_mul(400).saturating_add(year_of_cycle);
        Self {
            year: year.saturating_add(u64::from(month <= 2)),
            month,
            day: day_of_year.saturating_sub(month_start).saturating_add(1),
            // 1 January 1970 was a Thursday.
            weekday: (days.saturating_add(4) % 7).saturating_add(1),
            second_of_day: seconds % SECONDS_PER_DAY,
        }
    }
}

fn bcd(value: u64) -> u8 {
    let value = u8::try_from(value % 100).unwrap_or(0);
    ((value / 10) << 4) | (value % 10)
}

fn system_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Default for Rtc {
    fn default() -> Self {
        Self { index: 0, memory: [0; 128], now: system_seconds }
    }
}

impl Rtc {
    /// A read from a port; `None` if it is not the clock's.
    pub fn read(&mut self, port: u16) -> Option<u8> {
        match port {
            INDEX => Some(0xff),
            DATA => Some(self.register()),
            _ => None,
        }
    }

    fn register(&self) -> u8 {
        let time = Moment::new((self.now)());
        match self.index {
            0 => bcd(time.second_of_day % 60),
            2 => bcd(time.second_of_day / 60 % 60),
            4 => bcd(time.second_of_day / 3600),
            6 => bcd(time.weekday),
            7 => bcd(time.day),
            8 => bcd(time.month),
            9 => bcd(time.year),
            CENTURY => bcd(time.year / 100),
            REGISTER_A => A_DIVIDERS,
            REGISTER_B => B_24_HOURS,
            // Reading clears the interrupts' flags; there are none.
            REGISTER_C => 0,
            REGISTER_D => D_VALID,
            other => self.memory.get(usize::from(other)).copied().unwrap_or(0xff),
        }
    }

    /// A write to a port.
    pub fn write(&mut self, port: u16, value: u8) {
        match port {
            INDEX => self.index = value & 0x7f,
            DATA => {
                if let Some(byte) = self.memory.get_mut(usize::from(self.index)) {
                    *byte = value;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thursday, 29 February 2024, 23:58:07 UTC.
    const LEAP_DAY: u64 = 1_709_251_087;

    fn read(rtc: &mut Rtc, register: u8) -> u8 {
        rtc.write(INDEX, register);
        rtc.read(DATA).unwrap()
    }

    #[test]
    fn the_time_is_bcd_in_24_hours() {
        let mut rtc = Rtc { now: || LEAP_DAY, ..Rtc::default() };
        let time = [0, 2, 4, 6, 7, 8, 9, CENTURY].map(|register| read(&mut rtc, register));
        assert_eq!(time, [0x07, 0x58, 0x23, 5, 0x29, 0x02, 0x24, 0x20]);
    }

    #[test]
    fn a_guest_does_not_set_the_time() {
        let mut rtc = Rtc { now: || LEAP_DAY, ..Rtc::default() };
        rtc.write(INDEX, 8);
        rtc.write(DATA, 0x12);
        assert_eq!(read(&mut rtc, 8), 0x02);
    }

    #[test]
    fn the_nmi_bit_does_not_change_the_register() {
        let mut rtc = Rtc::default();
        assert_eq!(read(&mut rtc, REGISTER_D | 0x80), D_VALID);
    }

    proptest::proptest! {
        #[test]
        fn the_next_day_is_the_next_date(seconds in 0u64..4_102_444_800) {
            let (today, tomorrow) =
                (Moment::new(seconds), Moment::new(seconds + SECONDS_PER_DAY));
            let next = Moment {
                day: today.day + 1, weekday: today.weekday % 7 + 1, ..today
            };
            let new_month = Moment {
                day: 1, month: today.month % 12 + 1,
                year: today.year + u64::from(today.month == 12), ..next
            };
            let leap = today.year % 4 == 0 && today.year != 2100;
            let last = match today.month { 2 => 28 + u64::from(leap), 4 | 6 | 9 | 11 => 30, _ => 31 };
            proptest::prop_assert_eq!(tomorrow, if today.day < last { next } else { new_month });
        }
    }
}
