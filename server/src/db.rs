//! The database: one SQLite file in WAL mode, one writer, several readers.
//!
//! Writes go through a pool of exactly one connection and begin with `BEGIN IMMEDIATE`: a deferred transaction that turns
//! into a write fails at once with "busy", whatever the time-out. Readers are `query_only`. Never await anything foreign
//! (network, files, child processes) while a [`WriteTx`] is open.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use sqlx::{
    Connection, Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// A write transaction. Dropped without `commit` it rolls back.
pub type WriteTx = Transaction<'static, Sqlite>;

/// The database handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Db {
    /// Opens `file`, made with mode 0600 if it is not there, and brings its schema up to date. Before a migration touches
    /// an existing database a snapshot is written beside it (`NAME.before-N.db`). A schema newer than this program
    /// is refused: an old program must not write into it.
    pub async fn open(file: &Path) -> anyhow::Result<Self> {
        create_private(file).with_context(|| format!("cannot create the database {}", file.display()))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .pragma("temp_store", "memory")
            .pragma("cache_size", "-4096");
        let mut first = SqliteConnection::connect_with(&options).await.with_context(|| {
            format!("cannot open the database {}; is it a SQLite file, and not damaged?", file.display())
        })?;
        migrate(&mut first, file).await?;
        first.close().await?;

        // The writer is never closed for being idle or old: it is the only one.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(30))
            // On a full disk SQLite rolls back by itself; sqlx still counts the transaction and would refuse every later
            // one on this connection, so it is replaced.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone().optimize_on_close(true, None))
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .min_connections(1)
            // A file does not go away as a network does; asking first would double the cost of a small read.
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        Ok(Self { writer, readers })
    }

    /// The readers. A statement that writes fails here.
    pub fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a write transaction, waiting for the writer.
    pub async fn write(&self) -> Result<WriteTx, sqlx::Error> {
        self.writer.begin_with("begin immediate").await
    }

    /// Writes a consistent copy of the database to `file`, which must not exist.
    pub async fn snapshot(&self, file: &Path) -> anyhow::Result<()> {
        let mut connection = self.writer.acquire().await?;
        vacuum_into(&mut connection, file).await
    }

    /// Closes all connections; the last one writes the log back into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn migrate(connection: &mut SqliteConnection, file: &Path) -> anyhow::Result<()> {
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let known =
        sqlx::query_scalar!(r#"select count(*) as "n!: i64" from sqlite_schema where name = '_sqlx_migrations'"#)
            .fetch_one(&mut *connection)
            .await?
            > 0;
    if known {
        // Not checked at compile time: the table is the migrator's, not one of our migrations.
        let at: i64 = sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await?;
        if at > newest {
            bail!(
                "the database {} was written by a newer central-mcp (schema {at}, this program knows {newest}); \
                 start the newer program, or restore the snapshot it made before it migrated",
                file.display()
            );
        }
        if at < newest {
            let snapshot = file.with_extension(format!("before-{newest}.db"));
            // Always anew: one that lies there may be of an earlier try, or cut short.
            let partial = snapshot.with_extension("partial");
            remove(&partial)?;
            vacuum_into(connection, &partial).await?;
            std::fs::rename(&partial, &snapshot)
                .with_context(|| format!("cannot write the snapshot {}", snapshot.display()))?;
        }
    }
    MIGRATIONS.run(connection).await.with_context(|| format!("cannot bring the database {} up to date", file.display()))
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

async fn vacuum_into(connection: &mut SqliteConnection, file: &Path) -> anyhow::Result<()> {
    let target = file.to_str().context("the snapshot's path is not UTF-8")?;
    sqlx::query("vacuum into ?")
        .bind(target)
        .execute(connection)
        .await
        .with_context(|| format!("cannot write the snapshot {target}"))?;
    restrict(file)?;
    Ok(())
}

#[cfg(unix)]
fn create_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    restrict(file)
}

#[cfg(unix)]
fn restrict(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
}

/// `%text%` for `like … escape '\'`, with the wildcards in it taken literally.
pub(crate) fn like(text: &str) -> String {
    format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_cannot_write_and_the_file_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("hub.db");
        let db = Db::open(&file).await.expect("opens");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        let refused =
            sqlx::query("insert into settings values ('a', 'b')").execute(db.read()).await.expect_err("read only");
        assert!(refused.to_string().contains("readonly"), "{refused}");
        let mut tx = db.write().await.expect("the writer");
        sqlx::query("insert into settings values ('a', 'b')").execute(&mut *tx).await.expect("writes");
        drop(tx);
        let rows: i64 = sqlx::query_scalar("select count(*) from settings").fetch_one(db.read()).await.expect("reads");
        assert_eq!(rows, 0, "a dropped transaction rolls back");
        db.close().await;
    }

    #[tokio::test]
    async fn an_older_schema_is_saved_and_changed_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("hub.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let connect = async || SqliteConnection::connect_with(&options).await.expect("opens");
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().expect("migrations");

        // As it was before the last migration, with something in it.
        let mut old = connect().await;
        MIGRATIONS.run_to(newest - 1, &mut old).await.expect("migrates");
        let image = "insert into images (id, status, prompt, draft, seed, asked_by, created_at) values ('1', 'done', '', '{}', '0', 'user:ada', 7)";
        sqlx::query(image).execute(&mut old).await.expect("inserts");
        old.close().await.expect("closes");
        let db = Db::open(&file).await.expect("migrates");
        let done: i64 =
            sqlx::query_scalar("select done from image_generation_stats").fetch_one(db.read()).await.expect("counts");
        assert_eq!(done, 1, "what was there before is counted");
        db.close().await;
        assert!(dir.path().join(format!("hub.before-{newest}.db")).exists());

        let mut newer = connect().await;
        let later = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', 1, x'00', 0)";
        sqlx::query(later).execute(&mut newer).await.expect("inserts");
        newer.close().await.expect("closes");
        let refused = Db::open(&file).await.expect_err("a newer schema");
        assert!(refused.to_string().contains("newer central-mcp (schema 9999"), "{refused:#}");
    }
}
