-- Which machine a terminal is on. Not a reference: whether the machine is there is asked of its link, and a machine that is
-- removed takes its terminals with it by the room's own hand.

alter table terminals add column machine text; -- null: the hub's own
