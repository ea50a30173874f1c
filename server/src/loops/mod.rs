//! Background loops: each looks at the state of things, moves it one step towards what it should be, and says what it did.
//!
//! An activation takes no input, is safe to run twice, never overlaps another of the same loop, and is limited in time. There
//! are no retries inside: the next period is the retry. A loop that fails or panics says so in its status and goes on.

mod driver;
mod infrastructure;
mod presence;
mod system;

pub use driver::{LoopStatus, Loops};

use crate::{Hub, config::Keeping};

/// Starts every loop of the hub.
pub fn start(hub: &Hub, keeping: Keeping) -> Loops {
    let mut loops = Loops::default();
    loops.start(hub, infrastructure::Infrastructure::new(hub));
    loops.start(hub, presence::Presence::new(hub, keeping.first_crew));
    loops.start(hub, system::System::new(hub, keeping));
    loops
}
