//! One ended image in the gallery.

use leptos::prelude::*;
use server::images::{ImageStatus, ImageView, Picture};

use super::first_words;
use crate::ui::{actor_face, duration};

/// Longest side of a thumbnail in pixels.
const THUMBNAIL: u32 = 320;

/// A link to the image: its first picture small, or the word for how it ended.
pub(super) fn tile(view: ImageView) -> AnyView {
    let title = first_words(&view.draft.prompt);
    let class = match (view.status, view.is_sketch()) {
        (ImageStatus::Done, true) => "shot sketch",
        (ImageStatus::Done, false) => "shot",
        _ => "shot unmade",
    };
    let inside = match view.pictures.first() {
        Some(picture) => thumbnail(picture, &view.draft.prompt),
        None => unmade(&view),
    };
    let label = view.is_sketch().then(
        || view! { <span class="label" title="Drawn by the built-in renderer. It is not a model.">"sketch"</span> },
    );
    let several =
        (view.pictures.len() > 1).then(|| view! { <span class="label many">{view.pictures.len()} " pictures"</span> });
    let time = view.drawn_ms.map(|ms| view! { <span class="time">{duration(ms)}</span> });
    view! {
        <a class=class href=format!("/images/{}", view.id)>
            {inside} {label} {several}
            <span class="caption">{actor_face(&view.asked_by)} <span class="title">{title}</span> {time}</span>
        </a>
    }
    .into_any()
}

fn thumbnail(picture: &Picture, prompt: &str) -> AnyView {
    let (width, height) = scaled(picture.width, picture.height);
    let alt: String = prompt.chars().take(200).collect();
    view! {
        <img src=format!("/pictures/{}", picture.thumbnail) width=width height=height loading="lazy" decoding="async" alt=alt />
    }
    .into_any()
}

/// The size of the thumbnail, so that the page does not jump when it comes.
fn scaled(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    if longest <= THUMBNAIL {
        return (width, height);
    }
    let scale = |side: u32| ((u64::from(side) * u64::from(THUMBNAIL) / u64::from(longest)) as u32).max(1);
    (scale(width), scale(height))
}

fn unmade(view: &ImageView) -> AnyView {
    let state = if view.status == ImageStatus::Failed { "badge bad" } else { "badge quiet" };
    view! {
        <span class="blank">
            <span class=state>{view.status.word()}</span>
            <span class="reason">{super::facts::reason(view)}</span>
        </span>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn thumbnails_keep_their_shape() {
        assert_eq!(scaled(1024, 1024), (320, 320));
        assert_eq!(scaled(1280, 720), (320, 180));
        assert_eq!(scaled(64, 64), (64, 64));
        assert_eq!(scaled(4096, 8), (320, 1));
    }
}
