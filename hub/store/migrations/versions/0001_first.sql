-- The truth in two tables, `event` and `delivery`, and what they need. A rule that can be a constraint is one.

-- ---------------------------------------------------------------- clock
create table clock (
    one boolean primary key default true check (one),
    ahead interval not null default '0' check (ahead >= '0'),
    virtual boolean not null default false,
    check (virtual or ahead = '0')
);
insert into clock default values;

-- STABLE although it reads the clock: one statement may use one value, and an index condition may use it.
create function hub_now() returns timestamptz language sql stable as
$$ select clock_timestamp() + (select ahead from clock) $$;

-- ---------------------------------------------------------------- territories, configuration, partners
create table territory (
    id text primary key,
    lock_no integer generated always as identity unique,
    created_at timestamptz not null default clock_timestamp()
);

create table configuration (
    version integer generated always as identity primary key,
    territory text not null references territory,
    document jsonb not null,
    digest text not null,
    author text not null,
    at timestamptz not null default clock_timestamp()
);
create index on configuration (territory, version desc);

create table partner (
    id text primary key,
    territory text not null references territory,
    lock_no integer generated always as identity unique,
    connector text not null,
    added_under integer not null references configuration,
    loaded boolean not null default true,
    removed_at timestamptz,
    tokens double precision,
    tokens_at timestamptz
);

create table pause (
    partner text not null references partner,
    kind text not null check (kind in ('person', 'unavailable', 'errors')),
    reason text not null,
    since timestamptz not null default clock_timestamp(),
    until timestamptz,
    step interval,
    who text not null,
    primary key (partner, kind)
);

create table api_key (
    hash bytea primary key,
    partner text not null references partner,
    created_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);

create table schema (
    id integer primary key,
    record text not null,
    version integer not null,
    fingerprint text not null,
    definition jsonb not null,
    unique (record, version)
);

-- ---------------------------------------------------------------- persons
create table person (
    id uuid primary key,
    territory text not null references territory,
    root uuid not null references person deferrable initially deferred,
    profile bytea not null,
    key_version integer not null,
    protected boolean not null default false,
    restricted boolean not null default false,
    objections text[] not null default '{}',
    erasing_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
create index on person (root) where root <> id;

create table person_key (
    person uuid not null references person deferrable initially deferred,
    version integer not null,
    wrapped bytea,
    created_at timestamptz not null default clock_timestamp(),
    destroyed_at timestamptz,
    primary key (person, version),
    check ((wrapped is null) = (destroyed_at is not null))
);

-- one row per rule and keyed hash of all parts of that rule: nobody else can be found by it
create table identity (
    territory text not null,
    rule text not null,
    hash bytea not null,
    person uuid not null,
    primary key (territory, rule, hash)
);
create index on identity (person);

create table identifier (
    person uuid not null,
    kind text not null,
    hash bytea not null,
    sealed bytea not null,
    source text not null,
    since timestamptz not null default clock_timestamp(),
    primary key (person, kind, hash)
);

create table review (
    id bigint generated always as identity primary key,
    territory text not null references territory,
    person uuid not null references person deferrable initially deferred,
    against uuid references person,
    reason text not null,
    rule text,
    source text not null,
    sealed bytea,
    at timestamptz not null default clock_timestamp(),
    decided_at timestamptz,
    decision text,
    who text
);
create index on review (territory, id) where decided_at is null;

-- ---------------------------------------------------------------- events
create sequence event_no as bigint cache 1;

create table batch (
    id bigint generated always as identity primary key,
    territory text not null references territory,
    source text not null,
    kind text not null check (kind in ('file', 'poll', 'publish')),
    name text not null,
    sha256 bytea,
    state text not null default 'open' check (state in ('open', 'complete', 'refused')),
    next_ordinal integer not null default 1,
    known integer,
    counts jsonb not null default '{}',
    report jsonb,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
-- a second file of a sender while one import is incomplete is refused
create unique index batch_one_open on batch (source) where state = 'open' and kind = 'file';

create table event (
    no bigint primary key,
    id uuid not null unique,
    territory text not null,
    source text not null,
    source_event_id text not null,
    canonical bytea not null,
    record text not null,
    version integer not null,
    emitter text not null,
    flow text not null,
    person uuid not null,
    journey uuid,
    causation uuid,
    body bytea,
    body_hash bytea not null,
    facts jsonb not null,
    matter text,
    occurred_at timestamptz not null,
    accepted_at timestamptz not null default clock_timestamp(),
    batch bigint references batch,
    unique (source, source_event_id)
);
create index on event (person, no);
create index event_matter on event (matter, no) where matter is not null;
create index on event (batch) where batch is not null;

-- an event's way, narrow beside the append-only event
create table event_way (
    no bigint primary key,
    person uuid not null,
    published_at timestamptz,
    topic text,
    part integer,
    log_offset bigint,
    routed_at timestamptz,
    routed_under integer,
    route_version integer,
    routed_from_sql boolean not null default false,
    check ((published_at is null) = (topic is null)),
    check ((routed_at is null) = (routed_under is null))
);
create index event_way_unpublished on event_way (no) where published_at is null;
create index event_way_unrouted on event_way (person, no) where routed_at is null;

create table journey (
    id uuid primary key,
    person uuid not null references person deferrable initially deferred,
    kind text not null check (kind in ('rsa', 'reported')),
    payer bytea,
    opened_no bigint not null,
    opened_on date,
    closed_no bigint
);
create unique index journey_one_open on journey (person, kind) where closed_no is null;

create table relation (
    id bigint generated always as identity primary key,
    person uuid not null references person deferrable initially deferred,
    partner text not null references partner,
    kind text not null check (kind in ('request', 'decision', 'referent')),
    key text not null,
    from_no bigint not null,
    to_no bigint
);
create unique index relation_one_open on relation (person, partner, kind, key) where to_no is null;

-- what a source remembers about its own records: keyed hashes and codes, no identity
create table memory (
    source text not null,
    key bytea not null,
    scope bytea,
    state jsonb not null,
    seen bigint references batch,
    primary key (source, key)
);
create index on memory (source, scope) where scope is not null;

create table finding (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    topic text not null,
    part integer not null,
    log_offset bigint not null,
    kind text not null check (kind in ('unknown', 'altered', 'no_header')),
    event_id uuid,
    value_hash bytea not null,
    closed_at timestamptz,
    who text,
    reason text,
    unique (topic, part, log_offset, value_hash)
);

-- ---------------------------------------------------------------- deliveries: the queue and the ledger
create table delivery_transition (
    from_state text not null,
    to_state text not null,
    primary key (from_state, to_state)
);

create table delivery (
    id bigint generated always as identity primary key,
    no bigint not null,
    partner text not null,
    replay bigint not null default 0,
    person uuid not null,
    record text not null,
    matter text,
    initial text not null check (initial in ('waiting', 'withheld', 'erased')),
    state text not null,
    reason text,
    code text,
    attempt integer not null default 0,
    tries integer not null default 0,
    due timestamptz,
    claimed_at timestamptz,
    deadline timestamptz,
    lease_until timestamptz,
    marked_by integer,
    marked_at timestamptz,
    settled_at timestamptz,
    ack text,
    configuration integer,
    connector_version integer,
    message_hash bytea,
    created_at timestamptz not null default clock_timestamp(),
    unique (no, partner, replay),
    check (state in ('waiting', 'sending', 'human', 'withheld', 'delivered', 'refused', 'skipped', 'superseded', 'suppressed', 'drifted', 'cancelled', 'erased')),
    check (state <> 'sending' or (attempt > 0 and claimed_at is not null and deadline is not null and lease_until is not null and marked_by is not null)),
    check (state = 'waiting' or due is null),
    check ((marked_by is null) = (marked_at is null)),
    check (state <> 'waiting' or marked_by is null or (lease_until is not null and (due is null or due >= lease_until))),
    check (state not in ('waiting', 'human', 'withheld') or reason is not null),
    check (state <> 'delivered' or settled_at is not null)
);
-- the tripwire: one sending item per lane
create unique index delivery_sending on delivery (person, partner) where state = 'sending';
-- a lane with its head, sending or not, in one probe: two small indexes look the same to a planner with old statistics
create index delivery_lane on delivery (person, partner, no, replay) where state in ('waiting', 'sending', 'human');
create index delivery_due on delivery (partner, due) where state = 'waiting' and due is not null;
create index delivery_lease on delivery (partner, lease_until) where state = 'sending';
create index delivery_file on delivery (partner, no) where state = 'waiting' and reason = 'file';

create table delivery_log (
    id bigint generated always as identity primary key,
    delivery bigint not null references delivery,
    at timestamptz not null default clock_timestamp(),
    attempt integer not null,
    from_state text not null,
    to_state text not null,
    reason text,
    code text,
    claimed_at timestamptz,
    duration_ms integer,
    configuration integer,
    connector_version integer,
    message_hash bytea,
    who text,
    note text
);
create index on delivery_log (delivery, id);

create table message (
    delivery bigint primary key,
    sealed bytea not null,
    fields text[] not null,
    echo bytea,
    composed_at timestamptz not null default clock_timestamp()
);

create table told (
    partner text not null references partner,
    person uuid not null,
    matter text not null,
    hash bytea not null,
    no bigint not null,
    primary key (partner, person, matter)
);

create table file (
    id bigint generated always as identity primary key,
    partner text not null references partner,
    name text not null,
    state text not null default 'frozen' check (state in ('frozen', 'ready', 'settled')),
    attempt integer not null default 1,
    claimed_at timestamptz not null,
    deadline timestamptz not null,
    lease_until timestamptz not null,
    at timestamptz not null default clock_timestamp(),
    verdict text,
    unique (partner, name)
);
create unique index file_one_open on file (partner) where state <> 'settled';

create table file_item (
    file bigint not null references file,
    ordinal integer not null,
    delivery bigint not null references delivery,
    rank integer not null,
    primary key (file, ordinal),
    unique (file, delivery)
);

-- when all events up to `no` were proven under an older route engine, their digest stands for them (protocol.md §8 c)
create table route_proof (
    route_version integer primary key,
    up_to bigint not null,
    digest bytea not null,
    at timestamptz not null default clock_timestamp()
);

-- ---------------------------------------------------------------- rules as triggers
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op) using errcode = 'integrity_constraint_violation';
end $$;
create trigger append_only before update or delete on delivery_log for each row execute function refuse_change();
create trigger append_only before update or delete on configuration for each row execute function refuse_change();
create trigger append_only before delete on event for each row execute function refuse_change();
-- an event never changes, except that its body goes when the person is erased
create trigger only_the_body_goes before update on event for each row
    when (new.body is not null or old.body is null or (old.no, old.id, old.source, old.source_event_id, old.canonical, old.record, old.body_hash, old.facts)
          is distinct from (new.no, new.id, new.source, new.source_event_id, new.canonical, new.record, new.body_hash, new.facts))
    execute function refuse_change();
create trigger append_only before delete on delivery for each row execute function refuse_change();

-- What the rows of the six busy tables refer to exists, checked once per statement: foreign keys, checked row by row, were two
-- thirds of what accept, dispatch and claim cost PostgreSQL. Nothing that is referred to is ever deleted; a version of the
-- configuration (routed_under, configuration) is read from its append-only table in the transaction that writes it.
create function refers() returns trigger language plpgsql as $$
declare missing boolean;
begin
    for i in 0 .. tg_nargs - 1 by 3 loop
        execute format('select exists (select 1 from (select distinct %1$I as key from born) b '
                       'where (select 1 from %2$I p where p.%3$I = b.key) is null)', tg_argv[i], tg_argv[i + 1], tg_argv[i + 2])
            into missing;
        if missing then
            raise exception '%.% refers to no %', tg_table_name, tg_argv[i], tg_argv[i + 1] using errcode = 'foreign_key_violation';
        end if;
    end loop;
    return null;
end $$;
create trigger refers after insert on event referencing new table as born for each statement
    execute function refers('territory', 'territory', 'id', 'person', 'person', 'id');
create trigger refers after insert on event_way referencing new table as born for each statement
    execute function refers('no', 'event', 'no');
create trigger refers after insert on identity referencing new table as born for each statement
    execute function refers('territory', 'territory', 'id', 'person', 'person', 'id');
create trigger refers after insert on identifier referencing new table as born for each statement
    execute function refers('person', 'person', 'id');
create trigger refers after insert on delivery referencing new table as born for each statement
    execute function refers('no', 'event', 'no', 'partner', 'partner', 'id');
create trigger refers after insert on message referencing new table as born for each statement
    execute function refers('delivery', 'delivery', 'id');
create trigger moves_to after update on identity referencing new table as born for each statement
    execute function refers('person', 'person', 'id');
create trigger moves_to after update on identifier referencing new table as born for each statement
    execute function refers('person', 'person', 'id');
create trigger append_only before delete on territory for each row execute function refuse_change();
create trigger append_only before delete on partner for each row execute function refuse_change();
create trigger append_only before delete on person for each row execute function refuse_change();

create function delivery_step() returns trigger language plpgsql as $$
begin
    perform 1 from delivery_transition where from_state = old.state and to_state = new.state;
    if not found then
        raise exception 'delivery %: % may not become %', old.id, old.state, new.state using errcode = 'integrity_constraint_violation';
    end if;
    -- a marked item may have reached the partner: until its lease ends it changes state only out of sending, or by its file
    if old.marked_by is not null and old.state <> 'sending' and old.lease_until > (select hub_now())
       and not (old.reason is not distinct from 'file' and new.state = 'sending') then
        raise exception 'delivery %: marked until %', old.id, old.lease_until using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
-- the two steps of a first try that succeeds need no look-up: they stand in the table, and no mark binds them
create trigger step before update on delivery for each row
    when (old.state is distinct from new.state
          and not (old.state = 'waiting' and new.state = 'sending' and old.marked_by is null)
          and not (old.state = 'sending' and new.state = 'delivered'))
    execute function delivery_step();

create function delivery_lease_kept() returns trigger language plpgsql as $$
begin
    raise exception 'delivery %: the lease of a marked item is neither cleared nor lowered', old.id using errcode = 'integrity_constraint_violation';
end $$;
create trigger lease_kept before update on delivery for each row
    when (old.marked_by is not null and new.marked_by is not null and (new.lease_until is null or new.lease_until < old.lease_until))
    execute function delivery_lease_kept();

create function clock_step() returns trigger language plpgsql as $$
begin
    if new.ahead < old.ahead then
        raise exception 'the virtual clock only moves forward';
    end if;
    if new.ahead > old.ahead and exists (select 1 from delivery where state = 'sending') then
        raise exception 'the virtual clock stands while something is being sent';
    end if;
    return new;
end $$;
create trigger step before update on clock for each row execute function clock_step();

-- Whoever closes, settles, lapses or unmarks an item holds the partner's lock and ends with this: the lane's head, if it
-- waits without a due, becomes due; a due that is there stays (protocol.md §4).
create function wake(partners text[], persons uuid[]) returns void language sql as $$
    -- heads first, then rows by primary key, with no predicate that another index could serve: with the statistics of an
    -- empty table the planner turned a join round and ran 12 s
    update delivery d set due = greatest((select hub_now()), d.lease_until)
    where d.id = any (array(
            select (select h.id from delivery h
                    where h.person = lane.person and h.partner = lane.partner and h.state in ('waiting', 'sending', 'human')
                    order by h.state = 'sending' desc, (h.marked_by is not null) desc, h.no, h.replay limit 1)
            from (select distinct * from unnest(partners, persons)) as lane(partner, person)))
      and d.state is not distinct from 'waiting' and d.reason <> 'file' and d.due is null
$$;
