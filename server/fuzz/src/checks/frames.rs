//! What a client says on a terminal's socket: any bytes as one frame, and any bytes as the socket itself.

use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use super::{FRAME, Request, Said};

/// Fails where the reader does not keep its promises. The first byte chooses the way.
pub(super) fn check(input: &[u8]) {
    match input.split_first() {
        Some((way, rest)) if way % 4 == 0 => socket(rest),
        Some((_, rest)) => frame(rest),
        None => frame(input),
    }
}

fn frame(frame: &[u8]) {
    match Said::read(frame) {
        Some(Said::Typed(bytes)) => assert_eq!([b"0", bytes].concat(), frame, "keys are what was sent"),
        Some(Said::Asked(request)) => {
            assert_eq!(frame[0], b'1');
            if let Request::Paste { text } = &request {
                assert!(text.len() < frame.len(), "a text grows by being read");
            }
            let mut again = vec![b'1'];
            serde_json::to_writer(&mut again, &request).expect("writes");
            assert_eq!(Said::read(&again), Some(Said::Asked(request)), "what is understood can be said again");
        }
        None => assert!(frame.first().is_none_or(|first| *first != b'0') || frame.len() > FRAME, "keys are understood"),
    }
}

/// The bytes of a connection that was upgraded, with the limits that the hub sets.
fn socket(bytes: &[u8]) {
    let limits = WebSocketConfig::default().max_message_size(Some(FRAME)).max_frame_size(Some(FRAME));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), Role::Server, Some(limits));
    // Every message takes two bytes at least.
    for _ in 0..=bytes.len() {
        match socket.read() {
            Ok(Message::Binary(bytes)) => {
                assert!(bytes.len() <= FRAME);
                frame(&bytes);
            }
            Ok(Message::Text(text)) => {
                assert!(text.len() <= FRAME);
                frame(text.as_bytes());
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
    panic!("a socket that does not end");
}

/// A connection that says this, and takes whatever it is told.
struct Wire<'a>(&'a [u8]);

impl std::io::Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}

impl std::io::Write for Wire<'_> {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
