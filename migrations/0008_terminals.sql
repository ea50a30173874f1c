-- The terminals that the hub knows. tmux has the running ones; this table remembers what to start again, and what to record.

create table terminals (
    name       text primary key,
    agent      text,                          -- the slug of the agent whose terminal it is; such a one is started by its agent
    command    text not null default '[]',    -- program and arguments as a JSON array; empty: the login shell
    folder     text not null default '',      -- where it starts; empty: the home folder
    cols       integer not null default 160,
    rows       integer not null default 48,
    recorded   integer not null default 0,
    wanted     integer not null default 1,    -- 0 after a person stopped it: a restart of the machine starts it no more
    created_at integer not null
) strict, without rowid;
