//! Pure decisions of this room.

use crate::error::Failure;

/// Checks the name of a session: what tmux, a path of the hub and a person can all hold without a doubt.
pub(super) fn name(name: &str) -> Result<(), Failure> {
    let good = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if good { Ok(()) } else { Err(Failure::invalid("a terminal's name is 1 to 64 of A-Z, a-z, 0-9, _ and -")) }
}
