//! Background loops.
