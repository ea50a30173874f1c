//! Images: the durable queue, the renderers, the gallery.
//!
//! An image is accepted when its row is committed, and from then on it ends as done, failed with a reason, or cancelled,
//! whatever the hub or the service goes through. This room never says what a service is or whether it works (`services`
//! does), and never trusts bytes that a service sends.

mod model;
pub use model::{
    AgentImages, ImageDraft, ImageFilter, ImageStats, ImageStatus, ImageView, Lora, Picture, Progress, Seed, Source,
    TaskImages, WorkflowView,
};

#[cfg(feature = "ssr")]
mod comfy;
#[cfg(feature = "ssr")]
mod dispatch;
#[cfg(feature = "ssr")]
mod drawing;
#[cfg(feature = "ssr")]
mod files;
#[cfg(feature = "ssr")]
mod graph;
#[cfg(feature = "ssr")]
mod live;
#[cfg(feature = "ssr")]
mod room;
#[cfg(feature = "ssr")]
mod rules;
#[cfg(feature = "ssr")]
mod sketch;
#[cfg(feature = "ssr")]
mod store;
#[cfg(feature = "ssr")]
pub use room::{Images, PictureFile, Upload};

#[cfg(all(test, feature = "ssr"))]
mod tests;
