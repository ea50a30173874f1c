-- The floor: the audit log, and small values that belong to the hub itself.
-- Everywhere: ids are UUIDv7 text, times are integer milliseconds UTC, money is integer micro-dollars.

create table events (
    seq     integer primary key autoincrement, -- never reused, so that a listener can resume by it
    at      integer not null,
    actor   text not null,
    topic   text not null,
    kind    text not null,
    subject text not null,
    detail  text not null
) strict;

create index events_at on events (at);

create table settings (
    name  text primary key,
    value text not null
) strict, without rowid;
