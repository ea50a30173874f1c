//! An agent's variables between a draft, the table, a view and its session. Only [`opened`] sees a stored secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Variable, store::StoredVariable};
use crate::{
    error::{Error, Failure},
    id::AgentId,
    secrets::Secrets,
};

/// As stored: secrets sealed. One without a value is the one that was stored `before`.
pub(super) fn stored(
    secrets: &Secrets,
    id: AgentId,
    given: Vec<Variable>,
    before: &[StoredVariable],
) -> Result<Vec<StoredVariable>, Error> {
    let one = |variable: Variable| match (variable.secret, variable.value) {
        (false, value) => Ok(StoredVariable { name: variable.name, value, sealed: None }),
        (true, Some(value)) => {
            let sealed = STANDARD.encode(secrets.seal(&purpose(id, &variable.name), value.as_bytes())?);
            Ok(StoredVariable { name: variable.name, value: None, sealed: Some(sealed) })
        }
        (true, None) => {
            let kept = before.iter().find(|it| it.name == variable.name && it.sealed.is_some()).cloned();
            let name = variable.name;
            kept.ok_or_else(|| Failure::invalid(format!("the secret {name} has no value; enter one")).into())
        }
    };
    given.into_iter().map(one).collect()
}

/// As shown.
pub(super) fn shown(stored: &[StoredVariable]) -> Vec<Variable> {
    let one =
        |it: &StoredVariable| Variable { name: it.name.clone(), value: it.value.clone(), secret: it.sealed.is_some() };
    stored.iter().map(one).collect()
}

/// As a session gets it.
pub(super) fn opened(
    secrets: &Secrets,
    id: AgentId,
    stored: &[StoredVariable],
) -> Result<Vec<(String, String)>, Error> {
    let one = |it: &StoredVariable| {
        let Some(sealed) = &it.sealed else { return Ok((it.name.clone(), it.value.clone().unwrap_or_default())) };
        let open = || -> anyhow::Result<String> {
            let plain = secrets.open(&purpose(id, &it.name), &STANDARD.decode(sealed)?)?;
            Ok(String::from_utf8(plain)?)
        };
        let locked = |_| {
            let why = "does not open with this hub's key; enter it again";
            Error::from(Failure::invalid(format!("the stored secret {} {why}", it.name)))
        };
        Ok((it.name.clone(), open().map_err(locked)?))
    };
    stored.iter().map(one).collect()
}

/// Bound to what it is sealed for: a secret moved to another row or name does not open.
fn purpose(id: AgentId, name: &str) -> String {
    format!("agent/{id}/{name}")
}
