-- Who may come in. Secrets are stored only as hashes: passwords by argon2id (slow, salted), sessions and tokens by
-- SHA-256 (their secrets are 256 random bits, so a fast hash is safe and lets every request be checked by an index).

create table users (
    id            text primary key,
    name          text not null unique,
    role          text not null check (role in ('viewer', 'operator', 'owner')),
    password_hash text not null,
    created_at    integer not null
) strict;

create table sessions (
    id           text primary key,
    user_id      text not null references users (id) on delete cascade,
    secret_hash  blob not null unique,
    created_at   integer not null,
    last_seen_at integer not null,
    expires_at   integer not null,
    address      text not null,
    user_agent   text not null
) strict;

create index sessions_user on sessions (user_id);

create table tokens (
    id           text primary key,
    name         text not null,
    role         text not null check (role in ('viewer', 'agent', 'operator', 'owner')),
    agent        text,
    prefix       text not null,
    secret_hash  blob not null unique,
    created_by   text not null,
    created_at   integer not null,
    expires_at   integer,
    last_used_at integer
) strict;

-- Failed sign-ins, counted per account and per address. In the database, so that a restart gives no fresh tries.
create table login_failures (
    subject    text primary key, -- `user:NAME` or `address:IP`
    count      integer not null,
    first_at   integer not null,
    blocked_until integer not null
) strict, without rowid;
