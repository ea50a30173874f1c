//! The room against a real SQLite file, with a clock moved by hand.

#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper is a failed test")]

use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Auth, NewToken, SignedIn, TokenDraft, UserDraft, UserView, Visitor};
use crate::{
    caller::{Caller, Role},
    clock::{Clock, Timestamp},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{EventView, Events},
};

mod door;
mod doorman;
mod lockout;
mod people;
mod sessions;
mod tokens;

const PASSWORD: &str = "correct horse battery";

struct House {
    auth: Auth,
    events: Events,
    clock: Clock,
    db: Db,
    tasks: TaskTracker,
    stop: CancellationToken,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let db = Db::open(&folder.path().join("hub.db")).await.unwrap();
        let events = Events::open(db.clone(), clock.clone()).await.unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let auth = Auth::open(db.clone(), events.clone(), clock.clone()).await.unwrap();
        let auth = auth.with_doorman(&tasks, stop.clone()).await.unwrap();
        Self { auth, events, clock, db, tasks, stop, folder }
    }

    /// With an owner, ada, who is signed in.
    async fn with_owner() -> (Self, SignedIn) {
        let house = Self::new().await;
        let code = house.auth.setup_code().await.unwrap().unwrap();
        let owner = house.auth.setup(&code, "ada", PASSWORD, from("10.0.0.1")).await.unwrap();
        (house, owner)
    }

    /// The room as another start of the program would see it.
    async fn restarted(&self) -> Auth {
        Auth::open(self.db.clone(), self.events.clone(), self.clock.clone()).await.unwrap()
    }

    async fn user(&self, name: &str, role: Role) -> UserView {
        self.auth.create_user(&Caller::cli(), user(name, role)).await.unwrap()
    }

    async fn signed_in(&self, name: &str) -> SignedIn {
        self.auth.login(name, PASSWORD, from("10.0.0.1")).await.unwrap()
    }

    async fn token(&self, who: &Caller, role: Role) -> NewToken {
        self.auth.create_token(who, token(role)).await.unwrap()
    }

    /// Tries a wrong password.
    async fn miss(&self, name: &str, address: &str) -> Failure {
        refused(self.auth.login(name, "not my password", from(address)).await)
    }

    async fn log(&self) -> Vec<EventView> {
        self.events.after(0, 1000).await.unwrap()
    }

    async fn kinds(&self) -> Vec<String> {
        self.log().await.into_iter().map(|event| event.kind).collect()
    }
}

fn from(address: &str) -> Visitor {
    Visitor { address: address.to_owned(), user_agent: "Test/1.0".to_owned() }
}

fn user(name: &str, role: Role) -> UserDraft {
    UserDraft { name: name.to_owned(), password: PASSWORD.to_owned(), role }
}

fn token(role: Role) -> TokenDraft {
    TokenDraft { name: "ci".to_owned(), role, agent: None, expires_in_days: None }
}

/// The refusal that `result` must be.
#[track_caller]
fn refused<T>(result: Result<T, Error>) -> Failure {
    match result {
        Err(Error::Refused(failure)) => failure,
        Err(Error::Inside(cause)) => panic!("failed inside: {cause:#}"),
        Ok(_) => panic!("was not refused"),
    }
}

#[track_caller]
fn refused_as<T>(kind: FailureKind, result: Result<T, Error>) -> String {
    let failure = refused(result);
    assert_eq!(failure.kind, kind, "{}", failure.message);
    failure.message
}
