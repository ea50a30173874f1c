//! Who may come in: users and their sessions, API tokens, grants, the one-time set-up code.
//!
//! Turns a credential into a [`Caller`](crate::caller::Caller); what a caller may do is said by its role, not here. Never
//! stores a secret, never says which half of a sign-in was wrong, and never trusts a name in a call.

mod model;
pub use model::{NewToken, SessionView, TokenDraft, TokenView, UserDraft, UserView};

#[cfg(feature = "ssr")]
mod doorman;
#[cfg(feature = "ssr")]
mod grants;
#[cfg(feature = "ssr")]
mod heard;
#[cfg(feature = "ssr")]
mod passwords;
#[cfg(feature = "ssr")]
mod room;
#[cfg(feature = "ssr")]
mod rules;
#[cfg(feature = "ssr")]
mod store;
#[cfg(feature = "ssr")]
mod tokens;
#[cfg(feature = "ssr")]
pub use grants::{Consent, GrantDraft, Granted};
#[cfg(feature = "ssr")]
pub use heard::Heard;
#[cfg(feature = "ssr")]
pub use room::{Auth, SignedIn, Visitor};

#[cfg(all(test, feature = "ssr"))]
mod tests;
