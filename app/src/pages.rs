//! The pages that are loaded when they are first visited: what the browser fetches at first is the frame and the overview.
//!
//! Each becomes a file of its own (`cargo xtask site`). The server knows no difference.

use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

use crate::{agents, connect, images, services, settings, terminals};

/// The form, the queue and the gallery.
pub(crate) struct Images;

#[lazy_route]
impl LazyRoute for Images {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        images::Images().into_any()
    }
}

/// One image.
pub(crate) struct Image;

#[lazy_route]
impl LazyRoute for Image {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        images::Detail().into_any()
    }
}

/// The outside services.
pub(crate) struct Services;

#[lazy_route]
impl LazyRoute for Services {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        services::Services().into_any()
    }
}

/// All terminals.
pub(crate) struct Terminals;

#[lazy_route]
impl LazyRoute for Terminals {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        terminals::Wall().into_any()
    }
}

/// One terminal.
pub(crate) struct Terminal;

#[lazy_route]
impl LazyRoute for Terminal {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        terminals::One().into_any()
    }
}

/// One recording.
pub(crate) struct Recording;

#[lazy_route]
impl LazyRoute for Recording {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        terminals::Player().into_any()
    }
}

/// The crew.
pub(crate) struct Agents;

#[lazy_route]
impl LazyRoute for Agents {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        agents::Agents().into_any()
    }
}

/// How an agent gets to the hub.
pub(crate) struct Connect;

#[lazy_route]
impl LazyRoute for Connect {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        connect::Connect().into_any()
    }
}

/// The settings.
pub(crate) struct Settings;

#[lazy_route]
impl LazyRoute for Settings {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        settings::Settings().into_any()
    }
}
