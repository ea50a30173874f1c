//! The room's decisions, without storage and without a clock of their own.

use std::net::IpAddr;

use crate::{
    caller::{Right, Role},
    clock::{DAY, MINUTE, SECOND, Timestamp},
    error::{Failure, FailureKind},
};

use super::{TokenDraft, store::GrantRow};

/// How long a session lives after its last use.
const SESSION_LIFE: i64 = 30 * DAY;
/// "Last seen" is kept to this: a write for every request would queue all of them at the one writer.
const TOUCH_EVERY: i64 = MINUTE;
/// How long the list still shows a token that has expired.
pub(super) const TOKEN_KEPT: i64 = 30 * DAY;
/// Failures are forgotten this long after the first, or after the end of the last block.
pub(super) const FORGOTTEN_AFTER: i64 = DAY;

const FIRST_BLOCK: i64 = 30 * SECOND;
const LONGEST_BLOCK: i64 = 15 * MINUTE;

const PASSWORD_CHARS: usize = 10;
const PASSWORD_BYTES: usize = 1024;
const TOKEN_MARK: &str = "cmcp_";
const TOKEN_LENGTH: usize = TOKEN_MARK.len() + 64;
const TOKEN_DAYS: u32 = 3650;

/// A name as somebody typed it at the door: phones put a capital first and a space last.
pub(super) fn typed_name(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Refuses what cannot be a sign-in name.
pub(super) fn user_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::invalid("the name is empty; give 1 to 40 characters of a-z 0-9 . _ -"));
    }
    if name.chars().count() > 40 {
        return Err(Failure::invalid("the name is longer than 40 characters; shorten it"));
    }
    match name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')) {
        Some(c) => Err(Failure::invalid(format!("the name has {c:?}; use only a-z 0-9 . _ -"))),
        None => Ok(()),
    }
}

/// Refuses a password that is too easy to guess or too long to hash.
pub(super) fn password(password: &str) -> Result<(), Failure> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS {
        return Err(Failure::invalid(format!(
            "the password has {chars} characters; use at least {PASSWORD_CHARS}, such as four words"
        )));
    }
    if password_too_long(password) {
        return Err(Failure::invalid(format!("the password is longer than {PASSWORD_BYTES} bytes; shorten it")));
    }
    Ok(())
}

/// Whether `password` is too long to be anybody's.
pub(super) fn password_too_long(password: &str) -> bool {
    password.len() > PASSWORD_BYTES
}

/// Refuses a role that a person cannot have.
pub(super) fn user_role(role: Role) -> Result<(), Failure> {
    if role == Role::Agent {
        return Err(Failure::invalid("the role agent is for tokens; give a person viewer, operator or owner"));
    }
    Ok(())
}

/// Refuses a role that a token cannot have, or that its maker cannot give.
pub(super) fn token_role(maker: Role, asked: Role) -> Result<(), Failure> {
    if asked == Role::Owner {
        return Err(Failure::invalid("owners are people; give the token the role viewer, agent or operator"));
    }
    if asked > maker {
        return Err(Failure::new(
            FailureKind::Forbidden,
            format!("a token cannot do more than its maker; you are {maker}, so ask for {maker} or less"),
        ));
    }
    Ok(())
}

/// A token's draft with tidy edges, or why it is refused.
pub(super) fn token(draft: TokenDraft) -> Result<TokenDraft, Failure> {
    let name = draft.name.trim().to_owned();
    if name.is_empty() {
        return Err(Failure::invalid("the token has no name; give 1 to 60 characters that say what it is for"));
    }
    if name.chars().count() > 60 {
        return Err(Failure::invalid("the token's name is longer than 60 characters; shorten it"));
    }
    if name.chars().any(char::is_control) {
        return Err(Failure::invalid("the token's name has a control character; use one line of plain text"));
    }
    if let Some(slug) = &draft.agent {
        agent(slug)?;
    }
    match draft.expires_in_days {
        Some(days) if !(1..=TOKEN_DAYS).contains(&days) => Err(Failure::invalid(format!(
            "a token cannot expire in {days} days; give 1 to {TOKEN_DAYS}, or none for never"
        ))),
        _ => Ok(TokenDraft { name, ..draft }),
    }
}

fn agent(slug: &str) -> Result<(), Failure> {
    if slug.is_empty() {
        return Err(Failure::invalid("the agent is empty; give 1 to 32 characters of a-z 0-9 -, or no agent"));
    }
    if slug.chars().count() > 32 {
        return Err(Failure::invalid("the agent is longer than 32 characters; shorten it"));
    }
    match slug.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(c) => Err(Failure::invalid(format!("the agent has {c:?}; use only a-z 0-9 -"))),
        None => Ok(()),
    }
}

/// When a token made now stops working.
pub(super) fn token_expiry(days: Option<u32>, now: Timestamp) -> Option<Timestamp> {
    days.map(|days| now.plus(i64::from(days) * DAY))
}

/// A token's secret from its random bits.
pub(super) fn token_secret(hex: &str) -> String {
    format!("{TOKEN_MARK}{hex}")
}

/// Whether `secret` has a token's form; spares the database what is none.
pub(super) fn is_token(secret: &str) -> bool {
    secret.len() == TOKEN_LENGTH && secret.starts_with(TOKEN_MARK)
}

/// The part of a token's secret that may be shown.
pub(super) fn token_prefix(secret: &str) -> String {
    secret.chars().take(TOKEN_MARK.len() + 4).collect()
}

/// How long a grant lives after its last refresh.
pub(super) const GRANT_LIFE: i64 = 30 * DAY;
/// How long the refresh token before the newest still gets the answer it got, in case that was lost on the way.
const ANSWERED_AGAIN: i64 = MINUTE;
const REFRESH_MARK: &str = "cmcr_";
const FAMILY: usize = 32;
const REFRESH_LENGTH: usize = REFRESH_MARK.len() + FAMILY + 64;

/// A refresh token: a mark, 32 characters that all of one grant share, 64 of its own.
pub(super) fn refresh_secret(family: &str, own: &str) -> String {
    format!("{REFRESH_MARK}{family}{own}")
}

/// What all refresh tokens of one grant share; `None` for what is no refresh token. 128 random bits: nobody can guess one
/// to have somebody else's grant ended.
pub(super) fn refresh_family(refresh: &str) -> Option<&str> {
    let rest = refresh.strip_prefix(REFRESH_MARK).filter(|_| refresh.len() == REFRESH_LENGTH)?;
    rest.get(..FAMILY)
}

/// Whether a person with the role `user` may let somebody in as `asked`.
pub(super) fn may_grant(user: Role, asked: Role) -> bool {
    user.may(Right::Operate) && asked <= user
}

/// What happens to a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the newest: new secrets.
    Next,
    /// It was the newest a moment ago: the same answer again.
    Again,
    /// It is an old one: somebody has copied it.
    Reused,
    /// The grant was not used for too long.
    Expired,
    /// Who allowed it may no longer.
    Disallowed,
}

/// What happens to the refresh token with the hash `sent`, which is of the family of `grant`.
pub(super) fn turn(grant: &GrantRow, sent: [u8; 32], now: Timestamp) -> Turn {
    if !may_grant(grant.user_role, grant.role) {
        return Turn::Disallowed;
    }
    if grant.expires_at <= now {
        return Turn::Expired;
    }
    if grant.refresh_hash == sent {
        return Turn::Next;
    }
    let just_now = now.since(grant.refreshed_at) <= ANSWERED_AGAIN;
    if just_now && grant.previous_hash.as_deref() == Some(sent.as_slice()) { Turn::Again } else { Turn::Reused }
}

/// When a session used now ends.
pub(super) fn session_expiry(now: Timestamp) -> Timestamp {
    now.plus(SESSION_LIFE)
}

/// Whether the time of last use is to be written again.
pub(super) fn stale(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| now.since(last) >= TOUCH_EVERY)
}

/// A stranger's words, fit to be stored: at most `chars` characters, none of them control.
pub(super) fn cut(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars).collect()
}

/// Whose failures are counted together, and how many are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// `user:NAME` or `address:IP`.
    pub(super) key: String,
    /// The failure with this number begins a block.
    pub(super) free: i64,
}

impl Subject {
    /// An account, whether or not it exists: a lock that only real ones have would tell them apart.
    pub(super) fn account(name: &str) -> Self {
        Self { key: format!("user:{name}"), free: 5 }
    }

    /// An address. More are free, because many people may share one. Of IPv6 the first 64 bits count: the rest is the
    /// visitor's to choose.
    pub(super) fn address(address: &str) -> Self {
        let place = match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => cut(address, 64),
        };
        Self { key: format!("address:{place}"), free: 20 }
    }
}

/// Failed sign-ins of one subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: i64,
    pub(super) first_at: Timestamp,
    pub(super) blocked_until: Timestamp,
}

impl Failures {
    /// Milliseconds until the next try is heard; `None` when it is heard now.
    pub(super) fn wait(self, now: Timestamp) -> Option<i64> {
        Some(self.blocked_until.since(now)).filter(|left| *left > 0)
    }

    /// One more failure, of a subject whose failure number `free` begins the first block.
    pub(super) fn and_one(self, free: i64, now: Timestamp) -> Self {
        let forgotten = now.since(self.first_at.max(self.blocked_until)) >= FORGOTTEN_AFTER;
        let before = if self.count == 0 || forgotten { Self { first_at: now, ..Self::default() } } else { self };
        let count = before.count.saturating_add(1);
        let blocked_until = if count < free { before.blocked_until } else { now.plus(block(count - free)) };
        Self { count, blocked_until, ..before }
    }
}

/// The length of block number `n`, from 0: doubling, up to the longest.
fn block(n: i64) -> i64 {
    let doublings = u32::try_from(n).unwrap_or(u32::MAX);
    2_i64.checked_pow(doublings).map_or(LONGEST_BLOCK, |times| FIRST_BLOCK.saturating_mul(times).min(LONGEST_BLOCK))
}

/// The refusal while a block lasts.
pub(super) fn blocked(left: i64) -> Failure {
    Failure::new(FailureKind::TooMany, format!("too many failed sign-ins; wait {} and try again", span(left)))
}

/// A span of time for people, rounded up so that who waits it out is let in.
pub(super) fn span(millis: i64) -> String {
    let seconds = (millis.max(0) + SECOND - 1) / SECOND;
    match seconds {
        1 => "1 second".to_owned(),
        0..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", (seconds + 59) / 60),
    }
}
