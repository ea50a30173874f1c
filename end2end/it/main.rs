//! The whole program as a person, a script or a bad day meets it: the real binary, in a folder and on a port of its own.
//!
//! Waits are bounded waits for a state; nothing sleeps for luck. What needs a real ComfyUI says how to get one.

#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper is a failed test")]
#![expect(clippy::disallowed_methods, reason = "from outside there is no tracker and no clock of the hub's")]

mod bad_input;
mod cli;
mod client;
mod comfyui_real;
mod disk;
#[path = "../../server/tests/comfyui/fake.rs"]
mod fake;
mod floods;
mod kill;
mod oauth;
mod program;
mod restart;
mod runner;
mod runner_link;
mod strangers;
mod terminals;
mod viewers;
