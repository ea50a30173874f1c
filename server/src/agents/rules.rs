//! Pure decisions: which drafts are acceptable, and when an agent's session is started, again or not at all.

use super::{AgentDraft, Wanted, profiles};
use crate::{
    clock::{MINUTE, SECOND, Timestamp},
    error::Failure,
    id::is_machine_name,
    terminals::LastWords,
};

/// The first wait before a start is tried again; doubles.
const FIRST_WAIT: i64 = SECOND;
/// The longest wait.
const LONGEST_WAIT: i64 = MINUTE;
/// Who has lived this long has recovered: the next wait is the first one again.
const RECOVERED: i64 = 5 * MINUTE;

const MOST_VARIABLES: usize = 64;
const LONGEST_VALUE: usize = 8 * 1024;
const MOST_WORDS: usize = 64;

/// A draft with tidy edges, or why it is refused.
pub(super) fn check(draft: AgentDraft) -> Result<AgentDraft, Failure> {
    slug(&draft.slug)?;
    let name = line("the name", &draft.name, 60)?;
    if name.is_empty() {
        return Err(Failure::invalid("the name is empty; give 1 to 60 characters"));
    }
    let role = line("the role", &draft.role, 200)?;
    if profiles::find(&draft.profile).is_none() {
        let known: Vec<_> = profiles::ALL.iter().map(|profile| profile.key).collect();
        return Err(Failure::invalid(format!(
            "there is no profile \"{}\"; use one of {}",
            cut(&draft.profile),
            known.join(", ")
        )));
    }
    let model = line("the model", &draft.model, 100)?;
    if model.starts_with('-') || model.contains(char::is_whitespace) {
        return Err(Failure::invalid("the model must be one word that does not begin with -"));
    }
    command(&draft.command)?;
    environment(&draft)?;
    let folder = line("the folder", &draft.folder, 1024)?;
    if !folder.is_empty() && !folder.starts_with('/') {
        return Err(Failure::invalid("the folder must begin with /, or be empty for one of the agent's own"));
    }
    let machine = draft.machine.as_deref().map(|text| line("the machine", text, 64)).transpose()?;
    if let Some(name) = machine.as_deref().filter(|name| !name.is_empty() && !is_machine_name(name)) {
        return Err(Failure::invalid(format!("there is no machine {name}; choose one of the page Machines")));
    }
    Ok(AgentDraft { name, role, model, folder, machine: machine.filter(|text| !text.is_empty()), ..draft })
}

fn slug(slug: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
    let good = slug.len() <= 32 && slug.chars().all(fits) && edge(slug.chars().next()) && edge(slug.chars().last());
    if good {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "\"{}\" is no slug; use 1 to 32 of a-z 0-9 -, without - at its ends, such as backend",
        cut(slug)
    )))
}

fn line(what: &str, text: &str, most: usize) -> Result<String, Failure> {
    let text = text.trim();
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(Failure::invalid(format!("{what} must be one line of at most {most} characters")));
    }
    Ok(text.to_owned())
}

fn command(words: &[String]) -> Result<(), Failure> {
    if words.first().is_some_and(|program| program.trim().is_empty()) {
        return Err(Failure::invalid("the command has no program; begin with one, or leave the command empty"));
    }
    if words.len() > MOST_WORDS
        || words.iter().any(|word| word.len() > LONGEST_VALUE || word.contains(char::is_control))
    {
        return Err(Failure::invalid(format!(
            "the command must be at most {MOST_WORDS} words without control characters"
        )));
    }
    Ok(())
}

fn environment(draft: &AgentDraft) -> Result<(), Failure> {
    if draft.environment.len() > MOST_VARIABLES {
        return Err(Failure::invalid(format!("an agent has at most {MOST_VARIABLES} variables")));
    }
    for (n, variable) in draft.environment.iter().enumerate() {
        let name = variable.name.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || name.len() > 100
            || !name.chars().all(fits)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(Failure::invalid(format!(
                "\"{}\" is no name of a variable; use letters, digits and _, such as API_KEY",
                cut(name)
            )));
        }
        if name.starts_with("CENTRAL_MCP_") {
            return Err(Failure::invalid(format!("{name} is set by the hub; choose another name")));
        }
        if draft.environment[..n].iter().any(|other| other.name == name) {
            return Err(Failure::invalid(format!("the variable {name} is there twice; keep one")));
        }
        match &variable.value {
            None if !variable.secret => return Err(Failure::invalid(format!("the variable {name} has no value"))),
            Some(value) if value.len() > LONGEST_VALUE || value.contains('\0') => {
                return Err(Failure::invalid(format!(
                    "the value of {name} must be at most {LONGEST_VALUE} bytes without NUL"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// The crew of a new hub: all can be edited, and deleted for good.
pub(super) fn defaults() -> Vec<AgentDraft> {
    let crew = [
        ("a", "Coordinator", "Cuts the work into tasks, hands them out, checks what comes back", "claude-code"),
        ("b", "Architecture", "Decides how the parts fit, writes it down, reviews", "claude-code"),
        ("c", "Backend", "Builds what runs on the server, with its tests", "codex"),
        ("d", "UI", "Builds what people see, and looks at it", "glm"),
    ];
    let draft = |(slug, name, role, profile): (&str, &str, &str, &str)| AgentDraft {
        slug: slug.to_owned(),
        name: name.to_owned(),
        role: role.to_owned(),
        profile: profile.to_owned(),
        model: String::new(),
        command: Vec::new(),
        environment: Vec::new(),
        folder: String::new(),
        machine: None,
        restart_on_exit: true,
    };
    crew.map(draft).into()
}

/// The wait after this many starts in a row that did not last: 1 s doubling to 60 s.
pub(super) fn wait(tries: u32) -> i64 {
    2_i64.checked_pow(tries).map_or(LONGEST_WAIT, |times| FIRST_WAIT.saturating_mul(times).min(LONGEST_WAIT))
}

/// Why a session does not run any more: how its program ended, after how long (`up`: since when it ran; `None`: nobody saw), and
/// the last line that it said. That is untrusted, and only quoted.
pub(super) fn why_ended(up: Option<Timestamp>, said: Option<&LastWords>, now: Timestamp) -> String {
    let how = said.map_or_else(String::new, |said| format!(" with {}", said.how));
    let when = match up {
        Some(up) => format!("after {} s", said.map_or(now, |said| said.at).since(up).max(0) / SECOND),
        None => "while the hub did not look".to_owned(),
    };
    let last = said.and_then(|said| said.lines.iter().rfind(|line| !line.trim().is_empty()));
    let last =
        last.map_or_else(String::new, |line| format!(": {}", line.trim().chars().take(LAST_LINE).collect::<String>()));
    format!("its program ended{how} {when}{last}")
}

/// An agent's session as this hub has seen it. After a restart of the hub nothing is seen yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// Since when it is seen to run.
    pub(super) up: Option<Timestamp>,
    /// Starts in a row that did not last.
    tries: u32,
    /// It is not started before this.
    pub(super) not_before: Option<Timestamp>,
}

/// Characters of a program's last line that are shown.
const LAST_LINE: usize = 160;

/// What is done about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is as it should be, or its time has not come.
    Nothing,
    /// It is started.
    Start,
    /// It runs and should not.
    Stop,
    /// Its program ended, and it is not to be started again.
    Ended,
}

impl Life {
    /// What is done, now that the session is seen to run (`live`) or not.
    pub(super) fn step(&mut self, live: bool, wanted: Wanted, restart: bool, now: Timestamp) -> Step {
        match (live, wanted) {
            (true, Wanted::Running) => {
                self.up.get_or_insert(now);
                self.not_before = None;
                Step::Nothing
            }
            (true, Wanted::Stopped) => Step::Stop,
            (false, Wanted::Stopped) => {
                *self = Self::default();
                Step::Nothing
            }
            (false, Wanted::Running) => {
                if let Some(up) = self.up.take() {
                    if !restart {
                        *self = Self::default();
                        return Step::Ended;
                    }
                    if now.since(up) >= RECOVERED {
                        self.tries = 0;
                    }
                    self.again(now);
                }
                if self.not_before.is_some_and(|at| now < at) { Step::Nothing } else { Step::Start }
            }
        }
    }

    /// A start did not succeed.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.up = None;
        self.again(now);
    }

    /// A start succeeded. How often it was tried is kept: it has not lasted yet.
    pub(super) fn started(&mut self, now: Timestamp) {
        self.up = Some(now);
        self.not_before = None;
    }

    fn again(&mut self, now: Timestamp) {
        self.not_before = Some(now.plus(wait(self.tries)));
        self.tries = self.tries.saturating_add(1);
    }
}
