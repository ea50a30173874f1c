-- The machines beside the hub's own that hold sessions. Whether one is connected now is known only in memory.

create table machines (
    name            text primary key, -- 1 to 32 of a-z 0-9 -, and not `hub`
    key_hash        blob unique,      -- SHA-256 of 256 random bits, so a fast hash is safe and an index finds it; null until it joined
    join_hash       blob unique,      -- of its one-time secret, in the same way; null when there is none or it was used
    join_expires_at integer,
    created_by      text not null,    -- who, as the audit log writes them
    created_at      integer not null,
    joined_at       integer,
    seen_at         integer,          -- when it was last connected; written when that begins and ends, and once a minute between
    check ((join_hash is null) = (join_expires_at is null))
) strict, without rowid;
