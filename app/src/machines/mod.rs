//! Machines: the computers that hold sessions.

pub(crate) mod calls;
