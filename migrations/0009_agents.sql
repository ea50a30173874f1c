-- The crew: who works here, with which command, and whether their session should run. What an agent did is in the events;
-- whether it lives now is asked of its terminal, so a row never claims it.

create table agents (
    id              text primary key,
    slug            text not null unique,           -- `a`, `backend`: in its terminal's name, its token, its colour
    name            text not null,
    role            text not null,
    profile         text not null,                  -- key of agents::profiles; checked there, so that a new one is no migration
    model           text not null,                  -- empty: the program's own choice
    command         text not null,                  -- JSON array of strings; empty: the profile's
    environment     text not null,                  -- JSON array of {name, value} or {name, sealed}; the key is not in this database
    folder          text not null,                  -- empty: its own below the data folder
    machine         text,                           -- null: the hub's own
    token_id        text,                           -- the token it was last started with; may have been revoked since
    restart_on_exit integer not null check (restart_on_exit in (0, 1)),
    wanted          text not null check (wanted in ('running', 'stopped')),
    created_at      integer not null,
    updated_at      integer not null
) strict;

-- One row from the first start on: an operator who deletes all agents does not get the defaults again.
create table agent_defaults (
    made_at integer not null
) strict;
