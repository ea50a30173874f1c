-- Totals that the overview asks for at every change, kept with the rows they count: one small row for each agent and
-- status instead of a scan of every image. Triggers keep them, so that no path of the code can forget to.

create table image_tallies (
    agent    text not null,    -- '' for images that no agent asked for
    status   text not null,
    images   integer not null,
    drawn_ms integer not null,
    cost     integer not null,
    last_at  integer not null, -- when such an image was last asked for; stays when that image is deleted
    primary key (agent, status)
) strict, without rowid;

insert into image_tallies
select coalesce(agent, ''), status, count(*), coalesce(sum(drawn_ms), 0), coalesce(sum(cost), 0), max(created_at)
from images
group by 1, 2;

create trigger image_tallies_insert after insert on images
begin
    insert into image_tallies
    values (coalesce(new.agent, ''), new.status, 1, coalesce(new.drawn_ms, 0), coalesce(new.cost, 0), new.created_at)
    on conflict do update set
        images = images + 1, drawn_ms = drawn_ms + excluded.drawn_ms, cost = cost + excluded.cost,
        last_at = max(last_at, excluded.last_at);
end;

create trigger image_tallies_delete after delete on images
begin
    update image_tallies set
        images = images - 1, drawn_ms = drawn_ms - coalesce(old.drawn_ms, 0), cost = cost - coalesce(old.cost, 0)
    where agent = coalesce(old.agent, '') and status = old.status;
end;

create trigger image_tallies_update after update of agent, status, drawn_ms, cost on images
begin
    update image_tallies set
        images = images - 1, drawn_ms = drawn_ms - coalesce(old.drawn_ms, 0), cost = cost - coalesce(old.cost, 0)
    where agent = coalesce(old.agent, '') and status = old.status;
    insert into image_tallies
    values (coalesce(new.agent, ''), new.status, 1, coalesce(new.drawn_ms, 0), coalesce(new.cost, 0), new.created_at)
    on conflict do update set
        images = images + 1, drawn_ms = drawn_ms + excluded.drawn_ms, cost = cost + excluded.cost,
        last_at = max(last_at, excluded.last_at);
end;

drop view image_generation_stats;

create view image_generation_stats as
select
    coalesce(sum(images) filter (where status = 'queued'), 0)    as queued,
    coalesce(sum(images) filter (where status = 'running'), 0)   as running,
    coalesce(sum(images) filter (where status = 'done'), 0)      as done,
    coalesce(sum(images) filter (where status = 'failed'), 0)    as failed,
    coalesce(sum(images) filter (where status = 'cancelled'), 0) as cancelled,
    coalesce(sum(drawn_ms), 0)                                   as drawn_ms,
    coalesce(sum(cost), 0)                                       as cost
from image_tallies;

drop view recent_images_by_agent;

-- Who asked for how many, and when last; the caller limits it to a time by `last_at`.
create view recent_images_by_agent as
select agent, sum(images) as images, max(last_at) as last_at
from image_tallies
group by agent
having sum(images) > 0;

-- Only the totals read this column order; what is left asks for a status and a time.
drop index images_status;
create index images_finished on images (status, finished_at, drawn_ms);
drop index images_agent;
