//! Pure decisions: which drafts are acceptable, what a test report means for health.

use url::Url;

use super::{CheckView, Health, ServiceAuth, ServiceDraft, TestReport};
use crate::{clock::Timestamp, error::Failure};

/// An answer slower than this is `degraded`, in milliseconds.
pub(super) const SLOW_MS: i64 = 2_000;

/// Checks a draft; the URL comes back in its normal form.
pub(super) fn check(draft: &ServiceDraft) -> Result<Url, Failure> {
    let name = draft.name.trim();
    if name.is_empty() || name.chars().count() > 60 || name != draft.name || name.chars().any(char::is_control) {
        return Err(Failure::invalid("the name must be 1 to 60 characters without spaces around it"));
    }
    if name == "sketch" {
        return Err(Failure::invalid("\"sketch\" is the built-in renderer; choose another name"));
    }
    if !(0..=1_000_000_000).contains(&draft.price_per_hour.0) {
        return Err(Failure::invalid("the price per hour must be between $0 and $1000"));
    }
    if let Some(auth) = &draft.auth {
        check_auth(auth)?;
    }
    let url = Url::parse(draft.base_url.trim()).map_err(|_| {
        Failure::invalid(format!(
            "\"{}\" is not an address; enter one such as http://127.0.0.1:8188",
            cut(&draft.base_url)
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Failure::invalid("the address must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::invalid("put the user and password into the authentication, not into the address"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Failure::invalid("the address must end before any ? or #"));
    }
    Ok(url)
}

fn check_auth(auth: &ServiceAuth) -> Result<(), Failure> {
    let visible =
        |text: &str| !text.is_empty() && text.len() <= 4096 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match auth {
        ServiceAuth::None => Ok(()),
        ServiceAuth::Bearer { token } if visible(token) => Ok(()),
        ServiceAuth::Bearer { .. } => {
            Err(Failure::invalid("the bearer token must be 1 to 4096 printable ASCII characters"))
        }
        ServiceAuth::Basic { user, password } if visible(user) && !user.contains(':') && visible(password) => Ok(()),
        ServiceAuth::Basic { .. } => {
            Err(Failure::invalid("user and password must be printable ASCII, and the user without \":\""))
        }
        ServiceAuth::Headers { headers } => {
            if headers.is_empty() || headers.len() > 16 {
                return Err(Failure::invalid("give 1 to 16 headers"));
            }
            for (name, value) in headers {
                let good = reqwest::header::HeaderName::try_from(name.as_str()).is_ok() && visible(value);
                if !good {
                    return Err(Failure::invalid(format!(
                        "\"{}\" is not a header name with a printable value",
                        cut(name)
                    )));
                }
                let framing = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
                if framing.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                    return Err(Failure::invalid(format!(
                        "the header {name} is the connection's own and cannot be set"
                    )));
                }
            }
            Ok(())
        }
    }
}

/// What a full test says as a health check.
pub(super) fn check_of(report: &TestReport, at: Timestamp) -> CheckView {
    let problem = report.steps.iter().find(|step| !step.good).map(|step| step.answer.clone());
    let health = match (&problem, report.response_ms) {
        (Some(_), None) => Health::Down,
        (Some(_), Some(_)) => Health::Degraded,
        (None, ms) => speed(ms),
    };
    CheckView { at, health, response_ms: report.response_ms, problem }
}

/// Healthy or degraded, by how long the answer took.
pub(super) fn speed(response_ms: Option<i64>) -> Health {
    if response_ms.is_some_and(|ms| ms > SLOW_MS) { Health::Degraded } else { Health::Healthy }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
