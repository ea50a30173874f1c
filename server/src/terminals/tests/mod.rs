//! The engine with a real tmux.
