//! What a client's frame says.

use super::{BYTES, FRAME, JSON, Request};

/// One frame of a client, understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Keys, as an emulator sends them.
    Typed(&'a [u8]),
    /// Something beside keys.
    Asked(Request),
}

impl<'a> Said<'a> {
    /// Reads a frame: its first byte says what follows. `None`: nothing that a client of ours says, or longer than [`FRAME`].
    /// What may be said is decided later, by who says it.
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        match frame.split_first()? {
            _ if frame.len() > FRAME => None,
            (&BYTES, bytes) => Some(Self::Typed(bytes)),
            (&JSON, json) => serde_json::from_slice(json).ok().map(Self::Asked),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_says_what_follows() {
        assert_eq!(Said::read(b"0ls\r"), Some(Said::Typed(b"ls\r")));
        assert_eq!(Said::read(b"0"), Some(Said::Typed(b"")));
        let size = Request::Resize { cols: 80, rows: 24 };
        assert_eq!(Said::read(br#"1{"type":"resize","cols":80,"rows":24}"#), Some(Said::Asked(size)));
        for wrong in
            [&b""[..], b"1", b"1{}", b"2x", b"\0", br#"1{"type":"alive"}{"#, br#"1{"type":"alive","type":"alive"}"#]
        {
            assert_eq!(Said::read(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn a_frame_has_a_longest_length() {
        let frame = vec![BYTES; FRAME];
        assert_eq!(Said::read(&frame), Some(Said::Typed(&frame[1..])));
        assert_eq!(Said::read(&[BYTES; FRAME + 1]), None);
    }
}
