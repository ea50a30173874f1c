//! Small parts that pages are made of. Each is one function or component; none knows a room's methods.

mod dialog;
mod format;
mod icons;
mod keys;
mod palette;
mod remember;
mod sparkline;
mod theme;
mod toast;
mod typed;

pub(crate) use dialog::{Dialog, begin_dialog};
pub(crate) use format::{
    Ago, CopyButton, StatusBadge, Words, actor_face, agent_hue, bytes, capital, count, duration, exact, money,
    price_per_hour, span,
};
pub(crate) use icons::icon;
pub(crate) use keys::on_keys;
pub(crate) use palette::{Palette, open_palette, provide_palette};
pub(crate) use remember::remember;
#[cfg(feature = "hydrate")]
pub(crate) use remember::remembered;
pub(crate) use sparkline::Sparkline;
pub(crate) use theme::ThemeButton;
#[cfg(feature = "ssr")]
pub(crate) use theme::ground;
pub(crate) use toast::{Toasts, provide_toasts, say, say_failure};
pub(crate) use typed::when_typed;
