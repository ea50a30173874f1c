-- The overview shows the newest tasks that images were drawn for: found without reading the images of no task.

create index images_by_task on images (created_at, task) where task is not null;
