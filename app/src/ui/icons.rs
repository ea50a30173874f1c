//! Icons: one stroke path each on a 24-pixel grid, drawn for this project.

use leptos::prelude::*;

/// The icon of this name; decoration only, so hidden from screen readers. An unknown name draws a dot.
pub(crate) fn icon(name: &str) -> impl IntoView + use<> {
    let path = match name {
        "mark" => "M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM12 3v6m0 6v6M3 12h6m6 0h6",
        "home" => "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
        "crew" => {
            "M9 5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7ZM3 20c0-4 2.5-6 6-6s6 2 6 6M16 5.5a3 3 0 0 1 0 6M18 14.5c2 .8 3 2.7 3 5.5"
        }
        "image" => "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M9 9h.01",
        "server" => "M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01",
        "machine" => "M7 7h10v10H7zM10 4v3m4-3v3m-4 10v3m4-3v3M4 10h3m-3 4h3m10-4h3m-3 4h3",
        "gear" => {
            "M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM12 3v3m0 12v3M3 12h3m12 0h3M5.6 5.6l2.2 2.2m8.4 8.4l2.2 2.2M5.6 18.4l2.2-2.2m8.4-8.4l2.2-2.2"
        }
        "out" => "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
        "copy" => "M9 9h11v11H9zM5 15H4V4h11v1",
        "check" => "M5 13l4 4L19 7",
        "close" => "M6 6l12 12M18 6L6 18",
        "auto" => "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16ZM12 4v16",
        "plus" => "M12 5v14M5 12h14",
        "download" => "M12 4v11m0 0l-4-4m4 4l4-4M5 20h14",
        "again" => "M4 12a8 8 0 1 0 3-6.2M7 3v4h4",
        "vary" => "M4 7h10l-3-3m3 3l-3 3M20 17H10l3-3m-3 3l3 3",
        "terminal" => "M4 5h16v14H4zM7 9l3 3-3 3M12 15h5",
        "share" => "M12 14V4m0 0L8 8m4-4l4 4M5 13v7h14v-7",
        "more" => "M6 12h.01M12 12h.01M18 12h.01",
        "play" => "M8 5l11 7-11 7z",
        "pause" => "M8 5v14M16 5v14",
        "clock" => "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16ZM12 8v4l3 2",
        "trash" => "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
        _ => "M12 12h.01",
    };
    view! {
        <svg class="icon" viewBox="0 0 24 24" width="16" height="16" aria-hidden="true" focusable="false">
            <path d=path fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"></path>
        </svg>
    }
}
