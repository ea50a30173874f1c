-- OAuth: who let which client in. A grant is a row of `tokens` whose secret changes with every refresh, so id, agent,
-- limits and attribution stay, and revoking the token ends the grant. Its secrets are stored only as hashes.

create table oauth_grants (
    token_id      text primary key references tokens (id) on delete cascade,
    user_id       text not null references users (id) on delete cascade, -- who consented
    client_id     text not null, -- the URL of the client's metadata document
    family_hash   blob not null unique, -- of the part that all refresh tokens of this grant share: an old one is known by it
    refresh_hash  blob not null, -- of the newest refresh token
    previous_hash blob, -- of the one before: it gets the same answer again for a moment, in case the answer was lost
    salt          blob not null, -- with the refresh token before, the newest secrets follow from it
    refreshed_at  integer not null,
    expires_at    integer not null -- moves on with every refresh
) strict;

create index oauth_grants_user on oauth_grants (user_id);
