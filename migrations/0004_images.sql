-- Images: the durable queue and the gallery are one table. An image is accepted when its row is committed; a service
-- may forget everything, this table does not.

create table workflows (
    id         text primary key,
    name       text not null unique,
    graph      text not null,
    inputs     text not null, -- JSON array of names
    created_at integer not null
) strict;

create table images (
    id          text primary key,
    status      text not null check (status in ('queued', 'running', 'done', 'failed', 'cancelled')),
    prompt      text not null,          -- also inside draft; here for search
    draft       text not null,          -- JSON of images::ImageDraft with the seed drawn; opaque here
    seed        text not null,          -- decimal: 64 bits, never through a float
    graph       text,                   -- the ComfyUI graph as sent, kept with the picture; null for sketch
    asked_by    text not null,
    agent       text,
    task        text,
    parent      text,
    service_id  text,                   -- the service wanted, or null for any; no foreign key: pictures outlive services
    renderer    text,                   -- who draws or drew it: a service's name at that time, or 'sketch'
    runner_id   text,                   -- the service that has it now, while running; null for sketch
    prompt_id   text,                   -- our own UUID, stored before the service hears it, so that a restart can ask
    attempts    integer not null default 0,
    cancel      integer not null default 0 check (cancel in (0, 1)), -- asked to stop while running
    created_at  integer not null,
    started_at  integer,
    finished_at integer,
    drawn_ms    integer,
    cost        integer,
    reason      text
) strict;

create index images_open on images (id) where status in ('queued', 'running');
-- These two cover the statistics, so that the overview never reads the wide rows.
create index images_status on images (status, finished_at, drawn_ms, cost);
create index images_agent on images (agent, created_at);

create table pictures (
    image_id   text not null references images (id) on delete cascade,
    n          integer not null,
    sha256     text not null,
    thumbnail  text not null,
    media_type text not null,
    width      integer not null,
    height     integer not null,
    bytes      integer not null,
    primary key (image_id, n)
) strict, without rowid;

create index pictures_sha256 on pictures (sha256);
create index pictures_thumbnail on pictures (thumbnail);

-- Totals over all images; the windows are counted by the query, which knows the time.
create view image_generation_stats as
select
    coalesce(sum(status = 'queued'), 0)    as queued,
    coalesce(sum(status = 'running'), 0)   as running,
    coalesce(sum(status = 'done'), 0)      as done,
    coalesce(sum(status = 'failed'), 0)    as failed,
    coalesce(sum(status = 'cancelled'), 0) as cancelled,
    coalesce(sum(drawn_ms), 0)             as drawn_ms,
    coalesce(sum(cost), 0)                 as cost
from images;

-- Who asked for how many; the caller limits it to a time by `last_at`.
create view recent_images_by_agent as
select coalesce(agent, '') as agent, count(*) as images, max(created_at) as last_at
from images
group by coalesce(agent, '');
