-- Outside services. `auth` is the sealed JSON of services::ServiceAuth; its key is not in this database.

create table services (
    id             text primary key,
    name           text not null unique,
    kind           text not null check (kind in ('comfyui')),
    base_url       text not null,
    auth_kind      text not null,
    auth           blob,
    price_per_hour integer not null check (price_per_hour >= 0),
    active         integer not null check (active in (0, 1)),
    version        text,
    devices        text not null default '[]', -- JSON array of strings, opaque here
    created_at     integer not null,
    updated_at     integer not null
) strict;

create table service_checks (
    service_id  text not null references services (id) on delete cascade,
    at          integer not null,
    health      text not null check (health in ('healthy', 'degraded', 'down')),
    response_ms integer,
    problem     text,
    primary key (service_id, at)
) strict, without rowid;
