-- Kinds of objects and options that came with a major version, which stands before them. What 15 has is in test/core/restore.
-- since 16
create schema app; create extension btree_gist;
create collation app.ruled (provider = icu, locale = 'und', rules = '& a < g'); create table app.ruled (word text collate app.ruled); insert into app.ruled values ('a'), ('b'), ('g'); create index on app.ruled (word);
create table app.stored (a text storage external, b text storage main); insert into app.stored values (repeat('x', 3000), 'y');
create subscription quiet connection 'dbname=nowhere' publication p with (connect = false, slot_name = none, origin = none, run_as_owner, password_required = false);
create table app.granted (id int); grant all on app.granted to pg_monitor; grant all on app.granted to pg_read_all_stats with grant option; grant select, insert on app.granted to pg_read_all_settings;
alter default privileges in schema app grant all on tables to pg_monitor;
create table app.json (j jsonb check (j is json object with unique keys)); insert into app.json values ('{"a": 1}');
create view app.constructed as select json_object('k': 1, 'n': null absent on null) as o, json_arrayagg(i order by i desc returning jsonb) as a from generate_series(1, 3) i;
create view app.any_value as select any_value(id) from app.granted; create table app.numbers (n int default 0x_ff, o bigint default 1_000_000); insert into app.numbers default values;
-- since 17
create collation app.builtin (provider = builtin, locale = 'C.UTF-8'); create table app.built (word text collate app.builtin); insert into app.built values ('ä'), ('Z'); create index on app.built (upper(word));
grant maintain on app.stored to pg_monitor; grant maintain on app.built to pg_read_all_stats with grant option; revoke maintain on app.granted from pg_monitor;
create table app.numbered (id bigint generated always as identity, at date) partition by range (at); create table app.numbered_1 partition of app.numbered for values from ('2026-01-01') to ('2027-01-01'); insert into app.numbered (at) values ('2026-05-05');
create table app.nested (id bigint generated always as identity, at date) partition by range (at); create table app.nested_1 partition of app.nested default partition by list (at); create table app.nested_2 partition of app.nested_1 default; insert into app.nested (at) values ('2026-05-05');
create access method own_heap type table handler heap_tableam_handler; create table app.of_heap (id int) partition by list (id) using own_heap; create table app.of_heap_1 partition of app.of_heap default; insert into app.of_heap values (1);
create table app.made (a int, b int generated always as (a) stored); alter table app.made alter b set expression as (a + 1); insert into app.made values (1);
create view app.tabled as select * from json_table('[{"a": 1}]', '$[*]' columns (a int path '$.a', n for ordinality)) t; create view app.queried as select json_value('{"a": 1}', '$.a' returning int default 0 on error) as v;
create function app.logged() returns event_trigger language plpgsql as 'begin null; end'; create event trigger on_login on login execute function app.logged(); alter event trigger on_login enable always; create event trigger indexes on ddl_command_end when tag in ('REINDEX') execute function app.logged();
-- since 18
create table app.virtual (a int, b int generated always as (a * 2) virtual, c int not null, d int); insert into app.virtual (a, c, d) values (1, 1, null), (-2, 2, 3);
alter table app.virtual add constraint there not null d not valid, add constraint positive check (a > 0) not enforced; comment on constraint there on app.virtual is 'n';
create table app.base (id int primary key); create table app.loose (id int references app.base not enforced); insert into app.base values (1); insert into app.loose values (7);
create table app.rooms (room int, during daterange, primary key (room, during without overlaps)); create table app.stays (room int, during daterange, foreign key (room, period during) references app.rooms (room, period during));
insert into app.rooms values (1, '[2026-01-01,2026-02-01)'), (1, '[2026-02-01,2026-03-01)'); insert into app.stays values (1, '[2026-01-10,2026-02-10)');
create table app.elder (a int not null no inherit, b int constraint named not null); create table app.heir () inherits (app.elder); insert into app.elder values (1, 1); insert into app.heir values (null, 2);
create table app.parted (a int not null, b int) partition by list (b); create table app.parted_1 partition of app.parted for values in (1); comment on constraint parted_a_not_null on app.parted is 'of the parent'; insert into app.parted values (1, 1);
create table app.late_part (b int, a int constraint own_name not null); alter table app.parted attach partition app.late_part for values in (2);
alter default privileges grant select on large objects to pg_monitor; select lo_from_bytea(77, 'x');
create publication made for table app.made with (publish_generated_columns = stored); create table app.identified (id uuid default uuidv7()); insert into app.identified default values;
create collation app.fast (provider = builtin, locale = 'PG_UNICODE_FAST'); create table app.folded (word text collate app.fast); insert into app.folded values ('ß'); create index on app.folded (casefold(word));
create domain app.must as int constraint must not null; comment on constraint must on domain app.must is 'd'; create table app.musts (m app.must); insert into app.musts values (1);
create foreign data wrapper none; create server none foreign data wrapper none; create foreign table app.like_made (like app.made including all) server none;
