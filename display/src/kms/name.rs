//! What a screen is called: by its connector, by the make, model and serial number that it says of
//! itself (VESA E-EDID, release A), and by its place behind a DisplayPort hub. Only what stands at
//! fixed places is read; a screen that lies about its name gets the mode and guest of another.

/// Where the four descriptors of an EDID begin, and how long each is.
const DESCRIPTORS: [usize; 4] = [54, 72, 90, 108];
const DESCRIPTOR_BYTES: usize = 18;
/// Descriptors that are texts: the model, and the serial number.
const MODEL: u8 = 0xfc;
const SERIAL: u8 = 0xff;

/// The names that an EDID gives its screen: `MAKE MODEL`, and with its number `MAKE MODEL SERIAL`.
#[must_use]
pub fn edid_names(edid: &[u8]) -> Vec<String> {
    names(edid).unwrap_or_default()
}

fn names(edid: &[u8]) -> Option<Vec<String>> {
    if edid.get(..8)? != [0, 255, 255, 255, 255, 255, 255, 0] {
        return None;
    }
    let number = |at: usize| edid.get(at).copied();
    // Three letters of five bits each, A is 1.
    let make = u16::from_be_bytes([number(8)?, number(9)?]);
    let letter = |shift: u16| {
        let five = u8::try_from((make >> shift) & 31_u16).unwrap_or(0);
        char::from(b'@'.saturating_add(five))
    };
    let make: String = [10, 5, 0].map(letter).iter().collect();
    let text = |tag| {
        let mut all = DESCRIPTORS.iter().filter_map(|at| edid.get(*at..)?.get(..DESCRIPTOR_BYTES));
        let found = all.find(|one| matches!(one, [0, 0, 0, kind, ..] if *kind == tag));
        let bytes = found?.get(5..)?.split(|byte| *byte == b'\n').next()?;
        let clean =
            bytes.iter().map(|b| if (b' '..=b'~').contains(b) { char::from(*b) } else { '?' });
        let clean: String = clean.collect();
        Some(clean.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let product = u16::from_le_bytes([number(10)?, number(11)?]);
    let serial = u32::from_le_bytes([number(12)?, number(13)?, number(14)?, number(15)?]);
    let model = text(MODEL).unwrap_or_else(|| format!("{product:04X}"));
    let serial = text(SERIAL).or_else(|| (serial != 0).then(|| serial.to_string()));
    let short = format!("{make} {model}");
    let long = serial.map(|serial| format!("{short} {serial}"));
    Some([short].into_iter().chain(long).collect())
}

/// Whether this has the form of any name of a screen: `HDMI-A-1` or `card0-HDMI-A-1`,
/// `MAKE MODEL SERIAL`, or `mst:70-1-8` as the kernel calls what is behind a hub.
#[must_use]
pub fn is_screen_name(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(path) = name.strip_prefix("mst:") {
        return path.contains('-') && path.split('-').all(digits);
    }
    if let Some((make, model)) = name.split_once(' ') {
        return make.len() == 3
            && make.bytes().all(|byte| byte.is_ascii_uppercase())
            && !model.trim().is_empty();
    }
    let card = name.strip_prefix("card").and_then(|rest| rest.split_once('-'));
    let connector = card.filter(|(number, _)| digits(number)).map_or(name, |(_, rest)| rest);
    let kind =
        connector.rsplit_once('-').filter(|(_, number)| digits(number)).map(|(kind, _)| kind);
    kind.is_some_and(|kind| KINDS.split(' ').any(|known| known == kind))
}

/// What the kernel calls connectors (drivers/gpu/drm/drm_connector.c).
const KINDS: &str = "Unknown VGA DVI-I DVI-D DVI-A Composite SVIDEO LVDS Component DIN DP HDMI-A \
                     HDMI-B TV eDP Virtual DSI DPI SPI USB";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The EDID of a screen of Dell's with these descriptors.
    fn edid(descriptors: &[(u8, &str)]) -> Vec<u8> {
        let mut edid = vec![0; 128];
        edid[..8].copy_from_slice(&[0, 255, 255, 255, 255, 255, 255, 0]);
        edid[8..16].copy_from_slice(&[0x10, 0xac, 0x34, 0x12, 7, 0, 0, 0]);
        for ((tag, text), at) in descriptors.iter().zip(DESCRIPTORS) {
            edid[at + 3] = *tag;
            edid[at + 5..at + 5 + text.len()].copy_from_slice(text.as_bytes());
        }
        edid
    }

    #[test]
    fn make_model_and_serial_number_are_read_from_their_places() {
        let whole = edid(&[(MODEL, "U2720Q\n      "), (SERIAL, "7KC0123\n     ")]);
        assert_eq!(edid_names(&whole), ["DEL U2720Q", "DEL U2720Q 7KC0123"]);
        assert_eq!(edid_names(&edid(&[])), ["DEL 1234", "DEL 1234 7"]);
        let mut foreign = whole;
        foreign[0] = 1;
        assert!(edid_names(&foreign).is_empty());
    }

    #[test]
    fn what_can_be_no_screen_is_no_name_of_one() {
        for name in
            ["HDMI-A-1", "card0-HDMI-A-1", "eDP-1", "DEL U2720Q 7KC", "mst:70-1-8", "DVI-D-12"]
        {
            assert!(is_screen_name(name), "{name}");
            let two = name.starts_with("DEL");
            assert_eq!(name.contains(' '), two);
        }
        for name in
            ["HDMI1", "HDMI-1", "left", "card-DP-1", "del u2720q", "DEL ", "mst:", "mst:7", ""]
        {
            assert!(!is_screen_name(name), "{name}");
        }
    }

    proptest! {
        /// Whatever a screen says, its names have the form of names and are printable.
        #[test]
        fn any_edid_is_borne(bytes in prop::collection::vec(any::<u8>(), 0..256), known: bool) {
            let mut bytes = bytes;
            if known && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&[0, 255, 255, 255, 255, 255, 255, 0]);
            }
            for name in edid_names(&bytes) {
                prop_assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }
}
