-- One of everything a dump has to carry.
create extension if not exists pg_trgm;
create schema "Odd ""Schema"".x";
create type mood as enum ('sad', 'ok');
create domain positive as int check (value > 0);
create type pair as (a int, b text);
create function double(i int) returns int language sql immutable return i * 2;
create function touch() returns trigger language plpgsql as $$ begin new.note := 'touched'; return new; end $$;
create aggregate total(int) (sfunc = int4pl, stype = int, initcond = '0');
create table customers (id serial primary key, name varchar(40) not null check (name in ('ann', 'bob', 'eve')), mood mood default 'ok',
  twice int generated always as (id * 2) stored, born date, note text, p pair, tags text[]);
create table orders (id bigint generated always as identity primary key, customer int not null references customers on delete cascade,
  amount numeric(10,2), quantity positive, at timestamptz default now(), f float8, b bytea, j jsonb,
  constraint sane check (amount > 0 and (quantity > 1 or amount < 100000.00)));
create index orders_at on orders (at desc) where amount > 5;
create index customers_trgm on customers using gin (name gin_trgm_ops);
create trigger touch before update on customers for each row when (old.name is distinct from new.name) execute function touch();
alter table customers disable trigger touch;
insert into customers (name, born, note, p, tags)
  select (array['ann','bob','eve'])[1 + i % 3], date '2000-01-01' + i, case when i % 5 = 0 then null when i % 7 = 0 then '' else E'a\tb\\n|''"' || i end,
         row(i, 'x')::pair, array['a', null, 'b"c']
    from generate_series(1, 300) i;
insert into orders (customer, amount, quantity, f, b, j)
  select 1 + i % 300, (i % 90) + 0.5, 2, 1.0 / i, sha256(i::text::bytea), jsonb_build_object('i', i) from generate_series(1, 20000) i;
create table "Odd ""Schema"".x"."täble.with $dots ""and"" ünïcode 63 bytes lÖng xxxxxxxxxxxx" ("Cölumn ""q""" int, "select" text);
insert into "Odd ""Schema"".x"."täble.with $dots ""and"" ünïcode 63 bytes lÖng xxxxxxxxxxxx"
  select i, repeat(md5(i::text), 3) from generate_series(1, 20000) i;
create table duplicates (v text); insert into duplicates values ('x'), ('x'), ('x'), (null), (null), ('');
create table parts (id int, region text, payload text) partition by list (region);
create table parts_eu partition of parts for values in ('eu');
create table parts_us partition of parts for values in ('us') partition by range (id);
create table parts_us_1 partition of parts_us for values from (0) to (20000);
create table parts_rest partition of parts default;
create index on parts (id);
insert into parts select i, (array['eu','us','asia'])[1 + i % 3], repeat(md5(i::text), 4) from generate_series(1, 15000) i;
create table base (id int, z text); create table derived (a int) inherits (base);
alter table base add column late int default 5;
insert into base values (1, 'base'); insert into derived (id, z, a, late) select i, 'd', i, -i from generate_series(1, 50) i;
create unlogged table cache (k text primary key, v text); insert into cache values ('k', 'v');
create view rich as select c.name, sum(o.amount) from customers c join orders o on o.customer = c.id group by 1;
create materialized view report as select count(*) as n from orders; create materialized view later as select 1 as x with no data;
alter table duplicates replica identity full;
create rule no_delete as on delete to duplicates do instead nothing;
create sequence counter start 5 increment 3; select nextval('counter'), nextval('counter'); create sequence untouched; select setval('untouched', 42, false);
create statistics spread on customer, amount from orders;
create collation german (provider = libc, locale = 'C');
create publication news for table customers; create publication every for all tables;
alter table customers enable row level security; create policy own on customers for select to public using (name = current_user and id > 0);
create foreign data wrapper dummy; create server elsewhere foreign data wrapper dummy options (port '1', host 'h');
create user mapping for public server elsewhere options (b '2', a '1');
create collation copied from "C";
-- Hashes of enum values differ from database to database, and with them the partition of a row.
create type vote as enum ('a', 'b', 'c', 'd', 'e', 'f');
create table votes (id int, vote vote, note text) partition by hash (vote);
create table votes_0 partition of votes for values with (modulus 2, remainder 0);
create table votes_1 partition of votes for values with (modulus 2, remainder 1);
insert into votes select i, (enum_range(null::vote))[1 + i % 6], repeat(md5(i::text), 4) from generate_series(1, 20000) i;
create table escaped (path text default E'C:\\x');
create index escaped_path on escaped (lower(path)); alter index escaped_path alter column 1 set statistics 77;
create foreign table remote (id int) server elsewhere;
create function deny() returns event_trigger language plpgsql as $$ begin end $$;
create event trigger watch on ddl_command_start execute function deny();
alter event trigger watch disable;
comment on table orders is 'what was bought'; comment on column orders.amount is 'in euros';
alter default privileges in schema public grant select on tables to pg_monitor;
grant select on orders to pg_monitor; grant update (amount) on orders to pg_monitor; revoke all on function double(int) from public;
select lo_from_bytea(0, convert_to(repeat('large object ', 20000), 'UTF8')); select lo_from_bytea(0, ''), lo_from_bytea(0, '\x00ff');
create table django_migrations (id int, app text, name text);
do $$ begin execute format('comment on large object %s is %L', (select min(oid) from pg_largeobject_metadata), '✓ seen'); end $$;
