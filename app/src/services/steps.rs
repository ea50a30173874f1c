//! What a connection test asked, and what was answered.

use leptos::prelude::*;
use server::services::TestReport;

use crate::ui::icon;

/// The questions with their answers, each marked good or bad.
#[component]
pub(super) fn Steps(
    /// What the test found.
    report: TestReport,
) -> impl IntoView {
    let steps = report.steps.into_iter().map(|step| {
        let (class, sign, word) = if step.good { ("ok", "check", "Good: ") } else { ("bad", "close", "Failed: ") };
        view! {
            <li class=class>
                {icon(sign)} <span class="hidden">{word}</span> <b>{step.asked}</b> " " <span class="quiet">{step.answer}</span>
            </li>
        }
    });
    view! { <ol class="steps">{steps.collect_view()}</ol> }
}
