//! Identifiers: UUIDv7 newtypes, one per kind of thing, so that a service id never passes for an image id.
//!
//! Version 7 begins with the time (RFC 9562 §5.7), so ids sort by age and index well.

use std::{fmt, str::FromStr};

/// The name of the hub's own machine.
pub const HUB: &str = "hub";

/// Whether a machine may have this name: 1 to 32 of `a-z 0-9 -`, without `-` at its ends.
pub fn is_machine_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

/// Declares an id type. Stored as hyphenated text, sent as a JSON string.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// A new id whose first 48 bits are `now`; the rest is random.
            #[cfg(feature = "ssr")]
            pub fn new(now: crate::clock::Timestamp) -> Self {
                Self(v7(now))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        #[cfg(feature = "ssr")]
        impl sqlx::Type<sqlx::Sqlite> for $name {
            fn type_info() -> sqlx::sqlite::SqliteTypeInfo {
                <String as sqlx::Type<sqlx::Sqlite>>::type_info()
            }
        }

        #[cfg(feature = "ssr")]
        impl<'q> sqlx::Encode<'q, sqlx::Sqlite> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut <sqlx::Sqlite as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <String as sqlx::Encode<'q, sqlx::Sqlite>>::encode(self.to_string(), buffer)
            }
        }

        #[cfg(feature = "ssr")]
        impl<'r> sqlx::Decode<'r, sqlx::Sqlite> for $name {
            fn decode(value: sqlx::sqlite::SqliteValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Ok(<&str as sqlx::Decode<'r, sqlx::Sqlite>>::decode(value)?.parse()?)
            }
        }
    )+};
}

ids! {
    /// A person who may sign in.
    UserId,
    /// One signed-in browser.
    SessionId,
    /// An API token of an agent or a script.
    TokenId,
    /// An outside service, such as a ComfyUI server.
    ServiceId,
    /// One asked-for image: a job that yields one or more pictures.
    ImageId,
    /// A saved ComfyUI workflow.
    WorkflowId,
    /// A share link of a terminal.
    LinkId,
    /// A recording of a terminal.
    RecordingId,
    /// An agent.
    AgentId,
}

impl RecordingId {
    /// When the recording began: an id of version 7 begins with its time, in milliseconds.
    pub fn made_at(self) -> crate::clock::Timestamp {
        crate::clock::Timestamp::from_millis((self.0.as_u128() >> 80) as i64)
    }
}

#[cfg(feature = "ssr")]
fn v7(now: crate::clock::Timestamp) -> uuid::Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.millis().unsigned_abs(), &crate::secrets::random()).into_uuid()
}
