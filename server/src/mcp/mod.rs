//! The MCP door: agents connect at `/mcp` and use the rooms as tools, resources and prompts.
//!
//! One endpoint, three ways in: Streamable HTTP of both eras (2026-07-28 without sessions, and the handshake revisions down
//! to 2025-03-26), WebSocket on the same path, and `central-mcp mcp`, which carries stdio over that WebSocket. Every tool is
//! an adapter: who is calling, call the room, shape the answer. Who is calling comes from the token of the request or the
//! socket alone; a cookie does not count here. This module never keeps what a room should keep: a waiting call can be lost
//! at any moment, and the image goes on.

mod answer;
mod args;
mod bridge;
mod changes;
mod door;
mod http;
mod inline;
mod met;
mod places;
mod prompts;
mod resources;
mod schema;
mod seat;
mod sessions;
mod socket;
mod state;
mod tasks;
mod tools;
mod waiting;
mod words;

#[cfg(test)]
mod tests;

pub use bridge::{Bridge, carry};
pub use door::Door;
pub use state::{Mcp, McpOptions};
