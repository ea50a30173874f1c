//! The room's SQL.

pub(super) mod links;
pub(super) mod recordings;

type Result<T> = std::result::Result<T, sqlx::Error>;
