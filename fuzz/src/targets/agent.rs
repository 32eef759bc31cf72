//! The frames of an agent inside a guest: cut anywhere, they come out the same.

use tabard_agent_wire::{FromGuest, Stream, ToGuest};

use super::{Target, outcome};

/// Both directions.
pub struct Frames;

/// All frames of a stream that comes in pieces of this length, up to the first that is none.
fn frames(input: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut stream = Stream::default();
    let mut frames = Vec::new();
    for piece in input.chunks(piece.max(1)) {
        stream.push(piece);
        loop {
            match stream.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

impl Target for Frames {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let ask = FromGuest::Ask { id: 7, nonce: [9; 16], text: "Sign?" };
        let mut both = FromGuest::Offer("text").encode();
        both.extend(ask.encode());
        // A stream of two, and the kinds of the other direction.
        let other = (1..8).map(|kind| vec![b'T', b'A', 1, kind, 4, 0, 0, 0, 1, 2, 3, 4]);
        [both, ask.encode(), FromGuest::Offer("").encode()].into_iter().chain(other).collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[b"TA\x01", b"\x01\x00\x00\x00", b"\xe2\x80\xae", b"\xff"]
    }

    fn share(&self) -> u64 {
        8
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        if let Ok(message) = FromGuest::decode(input) {
            assert_eq!(message.encode(), input, "another encoding of {message:?} decodes");
        }
        if let Ok(message) = ToGuest::decode(input) {
            assert_eq!(message.encode(), input, "another encoding of {message:?} decodes");
        }
        let whole = frames(input, input.len());
        let piece = input.first().map_or(1, |byte| usize::from(byte % 7) + 1);
        assert_eq!(whole, frames(input, piece), "frames depend on how they are cut");
        let decode = |frame: &Vec<u8>| match FromGuest::decode(frame) {
            Ok(FromGuest::Offer(text)) => format!("offer {}", text.len().min(9)),
            Ok(FromGuest::Ask { text, .. }) => format!("ask {}", text.chars().count().min(9)),
            Err(error) => error.to_string(),
        };
        let decoded: Vec<String> = whole.0.iter().take(3).map(decode).collect();
        let back = ToGuest::decode(input).is_ok();
        outcome((decoded, whole.0.len().min(9), whole.1, back))
    }
}
