-- What terminals leave behind and who may look at one without an account. The recordings themselves are files,
-- DATA/terminals/recordings/ID.cast.zst; a file that no row names is removed when the hub starts.

create table recordings (
    id         text primary key,
    terminal   text not null,    -- its name, not a reference: a recording outlives its terminal
    started_at integer not null,
    ended_at   integer,          -- null while it runs; one that was cut off is settled when the hub starts
    bytes      integer not null, -- the file's size, compressed; of a running one known only in memory
    cols       integer not null, -- its size at the beginning, so that a player can make room before it has read the file
    rows       integer not null
) strict;

create index recordings_terminal on recordings (terminal, started_at);

create table terminal_links (
    id          text primary key,
    terminal    text not null,        -- its name: the terminal may be stopped and come back while the link lives
    secret_hash blob not null unique, -- SHA-256 of 256 random bits, so a fast hash is safe and an index finds it
    created_by  text not null,        -- who, as the audit log writes them
    created_at  integer not null,
    expires_at  integer not null
) strict;

create index terminal_links_terminal on terminal_links (terminal, created_at);
