//! OAuth 2.1: how a connector that knows nothing else (claude.ai, ChatGPT) is let in, by pasting the hub's address.
//!
//! The hub is its own small authorization server, for `/mcp` alone. A client says who it is by the URL of a document
//! (Client ID Metadata Document); a signed-in person reads the consent page and allows it; the client changes its code for a
//! token of the room `auth`. So everything behind `/mcp` works as with a token made under Settings.
//!
//! Off unless a setting turns it on: clients that find OAuth here may ignore a token in their configuration. Never
//! registers clients, never gives more than the role agent, never redirects to an address that the client's document lacks, and
//! never fetches from inside a private network.
//!
//! Sources: OAuth 2.1 (draft-ietf-oauth-v2-1), PKCE (RFC 7636), resource metadata (RFC 9728), server metadata (RFC 8414),
//! resource indicators (RFC 8707), issuer in answers (RFC 9207), loopback redirects (RFC 8252 §7.3), revocation (RFC 7009),
//! draft-ietf-oauth-client-id-metadata-document.

mod address;
mod authorize;
mod clients;
mod codes;
mod documents;
mod metadata;
mod pages;
mod rules;
mod shelf;
mod state;
mod token;

#[cfg(test)]
mod tests;

pub(crate) use pages::OPENER;
pub use pages::{ConsentPage, LeavePage, Page, RefusalPage, Render};
pub use state::{Oauth, OauthOptions};
