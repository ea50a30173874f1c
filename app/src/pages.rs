//! The pages that are loaded when they are first visited: what the browser fetches at first is the frame and the overview.
//!
//! Each becomes a file of its own (`cargo xtask site`), or one with its nearest relatives: each file more doubles the sets of pages
//! that a function may be shared by, and each such set is a file to load too. The server knows no difference.

use leptos::{lazy, prelude::*};
use leptos_router::{LazyRoute, lazy_route};

use crate::{activity, agents, connect, images, machines, services, settings, terminals};

/// Makes pages whose code comes in one file: the function named first is split off, with everything that only they use.
macro_rules! together {
    ($load:ident, $preload:ident, $which:ident: $($(#[$doc:meta])* $page:ident => $view:expr;)+) => {
        #[derive(Clone, Copy)]
        enum $which {
            $($page),+
        }

        #[lazy]
        fn $load(which: $which) -> AnyView {
            match which {
                $($which::$page => $view.into_any()),+
            }
        }

        $(
            $(#[$doc])*
            pub(crate) struct $page;

            impl LazyRoute for $page {
                fn data() -> Self {
                    Self
                }

                async fn view(_page: Self) -> AnyView {
                    $load($which::$page).await
                }

                async fn preload() {
                    #[cfg(target_arch = "wasm32")]
                    $preload().await;
                }
            }
        )+
    };
}

together! {
    image_pages, __preload_image_pages, OfImages:
    /// The form, the queue and the gallery.
    Images => images::Images();
    /// One image.
    Image => images::Detail();
}

together! {
    terminal_pages, __preload_terminal_pages, OfTerminals:
    /// All terminals.
    Terminals => terminals::Wall();
    /// One terminal.
    Terminal => terminals::One();
}

/// One recording, in the file of what is seldom opened of terminals.
pub(crate) struct Recording;

impl LazyRoute for Recording {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        terminals::player().await
    }

    async fn preload() {
        #[cfg(target_arch = "wasm32")]
        terminals::preload_player().await;
    }
}

together! {
    crew_pages, __preload_crew_pages, OfTheCrew:
    /// The crew.
    Agents => agents::Agents();
    /// The machines.
    Machines => machines::Machines();
    /// The outside services.
    Services => services::Services();
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

/// The audit log.
pub(crate) struct Activity;

#[lazy_route]
impl LazyRoute for Activity {
    fn data() -> Self {
        Self
    }

    fn view(_page: Self) -> AnyView {
        activity::Activity().into_any()
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
