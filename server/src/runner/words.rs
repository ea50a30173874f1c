//! What hub and runner say to each other beside terminals, and the limits of a link.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    machines::Facts,
    terminals::{BYTES, JSON, LinkEnd},
};

/// The first byte of a frame that carries a [`Word`].
const WORD: u8 = b'2';
/// Largest frame, in bytes, either way.
pub(crate) const FRAME: usize = 1 << 20;
/// How often each end sends a ping.
pub(crate) const PING: Duration = Duration::from_secs(5);
/// A link that is silent for so long, or takes nothing, is dead.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// How long each end waits for the other's first word.
pub(crate) const HELLO: Duration = Duration::from_secs(10);
/// Frames that wait between a socket and the terminals, each way.
const BACKLOG: usize = 16;

/// Close code: the machine was removed, or its key is another's by now. Do not come back.
pub(crate) const WITHDRAWN: u16 = 4001;
/// Close code: a newer link with the same key has come. Do not come back.
pub(crate) const REPLACED: u16 = 4005;
/// Close code: the other protocol. Do not come back before an update.
pub(crate) const OTHER_PROTOCOL: u16 = 4010;

/// One word, as JSON behind the byte `2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Word {
    /// The runner's first.
    Hello(Hello),
    /// The hub's first, when it takes the runner.
    Welcome {
        /// The machine's name.
        machine: String,
    },
    /// The hub's first and last, when it does not.
    Refused {
        /// The code that the socket is closed with.
        code: u16,
        /// Why, and what to do.
        why: String,
    },
    /// How busy the machine is; from the runner, time and again.
    Facts(Facts),
}

/// What a runner says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The number of the protocol that it speaks. The one field that every protocol keeps.
    pub(crate) protocol: u32,
    /// The version of its program.
    #[serde(default)]
    pub(crate) version: String,
    /// Its system, such as `Linux 6.1 x86_64, Debian 12`.
    #[serde(default)]
    pub(crate) system: String,
    /// Its data folder, absolute.
    #[serde(default)]
    pub(crate) data: String,
    /// The address that it reaches the hub by, such as `https://hub.example.org`: programs on its machine use it too.
    #[serde(default)]
    pub(crate) hub: String,
}

impl Word {
    /// The frame that carries it.
    pub(crate) fn frame(&self) -> Bytes {
        let mut frame = vec![WORD];
        // Plain structs of numbers and texts: writing them to memory cannot fail.
        let _ = serde_json::to_writer(&mut frame, self);
        frame.into()
    }
}

/// Whom a frame is for.
#[derive(Debug, PartialEq)]
pub(crate) enum Sorted {
    /// The terminals: the whole frame.
    Terminals(Bytes),
    /// The two ends of the link themselves.
    Word(Word),
}

/// Sorts a frame by its first byte; `None` for one that is not understood.
pub(crate) fn sort(frame: Bytes) -> Option<Sorted> {
    match *frame.first()? {
        BYTES | JSON => Some(Sorted::Terminals(frame)),
        WORD => serde_json::from_slice(&frame[1..]).ok().map(Sorted::Word),
        _ => None,
    }
}

/// A [`LinkEnd`] as the socket sees it.
pub(crate) struct Pipe {
    /// What the terminals say, for the socket.
    pub(crate) said: mpsc::Receiver<Bytes>,
    /// What the socket hears, for the terminals.
    pub(crate) heard: mpsc::Sender<Bytes>,
}

impl Pipe {
    /// Both ends. When either is dropped the other notices.
    pub(crate) fn new() -> (Self, LinkEnd) {
        let (out, said) = mpsc::channel(BACKLOG);
        let (heard, inn) = mpsc::channel(BACKLOG);
        (Self { said, heard }, LinkEnd { out, inn })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::machines::Gpu;

    fn hello() -> impl Strategy<Value = Word> {
        let parts = (any::<u32>(), any::<String>(), any::<String>(), any::<String>(), any::<String>());
        parts.prop_map(|(protocol, version, system, data, hub)| {
            Word::Hello(Hello { protocol, version, system, data, hub })
        })
    }

    /// A number as a reading has it.
    fn reading() -> impl Strategy<Value = Option<f32>> {
        option::of((0_u16..4000).prop_map(|n| f32::from(n) / 8.0))
    }

    fn facts() -> impl Strategy<Value = Word> {
        let gpu = (any::<String>(), any::<Option<u64>>(), any::<Option<u64>>(), reading(), reading()).prop_map(
            |(name, memory_used, memory_total, load, celsius)| Gpu { name, memory_used, memory_total, load, celsius },
        );
        let sizes = any::<[u64; 4]>();
        (any::<u32>(), reading(), sizes, vec(gpu, 0..5)).prop_map(|(cpus, cpu, sizes, gpus)| {
            let [memory_used, memory_total, disk_used, disk_total] = sizes;
            Word::Facts(Facts { cpus, cpu, memory_used, memory_total, disk_used, disk_total, gpus })
        })
    }

    fn word() -> impl Strategy<Value = Word> {
        prop_oneof![
            hello(),
            facts(),
            any::<String>().prop_map(|machine| Word::Welcome { machine }),
            (any::<u16>(), any::<String>()).prop_map(|(code, why)| Word::Refused { code, why }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(word in word()) {
            prop_assert_eq!(sort(word.frame()), Some(Sorted::Word(word)));
        }

        #[test]
        fn no_frame_breaks_it_and_what_is_for_the_terminals_stays_whole(frame in vec(any::<u8>(), 0..300)) {
            let whole = Bytes::from(frame);
            if let Some(Sorted::Terminals(kept)) = sort(whole.clone()) {
                prop_assert_eq!(kept, whole);
            }
        }

        /// Nearer to what is understood than any bytes: a word with some of its bytes changed.
        #[test]
        fn no_damaged_word_breaks_it(word in word(), hits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut frame = word.frame().to_vec();
            for (at, byte) in hits {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            if let Some(Sorted::Word(read)) = sort(frame.into()) {
                // What was understood can be said again.
                prop_assert!(matches!(sort(read.frame()), Some(Sorted::Word(_))));
            }
        }
    }

    #[test]
    fn a_frame_is_sorted_by_its_first_byte() {
        let word = Word::Welcome { machine: "gpu-1".into() };
        assert_eq!(sort(word.frame()), Some(Sorted::Word(word)));
        for bytes in [&b"0abc"[..], b"1{}", b"0"] {
            assert_eq!(sort(Bytes::from_static(bytes)), Some(Sorted::Terminals(Bytes::from_static(bytes))));
        }
        for bad in [&b""[..], b"2", b"2{}", b"2{\"type\":\"magic\"}", b"3{}", b"\x00"] {
            assert_eq!(sort(Bytes::from_static(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_hello_of_another_protocol_is_understood_as_far_as_its_number() {
        let hello = sort(Bytes::from_static(br#"2{"type":"hello","protocol":7,"colour":"red"}"#));
        let Some(Sorted::Word(Word::Hello(hello))) = hello else { panic!("{hello:?}") };
        assert_eq!(hello.protocol, 7);
    }
}
