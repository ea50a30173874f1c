-- Why an agent's session does not run, and that its session is only a shell: known in memory alone, both were lost whenever
-- the hub was started again, and a shell in place of a program passed for the program.

alter table agents add column problem text;  -- for people; null: all is as it was asked for
alter table agents add column stand_in text  -- why its session is a plain shell; null: it is what was asked for
    check (stand_in in ('not-installed', 'not-set-up'));
