import type pg from 'pg';
import type { ServerNeeds } from './inventorySchema.ts';
import { readRestorerNeeds } from './restorerNeeds.ts';
import { FIRST_USER_OID, USER_SCHEMA } from './relations.ts';

const ofExtension = (catalog: string, oid: string) =>
  `exists (select from pg_depend e where e.classid = '${catalog}'::regclass and e.objid = ${oid} and e.deptype = 'e')`;

/** What a restore of the database one is connected to asks of its server. Every role may read it. */
export async function readServerNeeds(client: pg.Client): Promise<ServerNeeds> {
  const libraries = await readLibraries(client);
  return {
    labelProviders: await names(client, LABEL_PROVIDERS),
    libraries: libraries.filter(({ functions }) => functions.length > 0),
    extensionLibraries: libraries.filter(({ functions }) => functions.length === 0).map(({ library }) => library),
    languages: await names(client, LANGUAGES),
    collations: await names(client, COLLATIONS),
    locales: await names(client, LOCALES),
    icu: (await names(client, ICU_COLLATIONS)).length > 0,
    dictionaries: await readDictionaries(client),
    ...(await readRestorerNeeds(client)),
  };
}

async function names(client: pg.Client, sql: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(sql);
  return rows.map(({ name }) => name);
}

/** A dump has no labels of what is in the server's own schemas. */
const LABEL_PROVIDERS = `
  select distinct l.provider collate "C" as name from pg_seclabel l, pg_identify_object(l.classoid, l.objoid, l.objsubid) i
   where coalesce(i.schema, case when i.type = 'schema' then i.name end, '') !~ '^pg_|^information_schema$' order by 1`;

/** Functions of the schema pg_catalog are in no dump. */
async function readLibraries(client: pg.Client): Promise<ServerNeeds['libraries']> {
  const { rows } = await client.query<ServerNeeds['libraries'][number]>(`
    select library, coalesce(array_agg(identity order by identity collate "C") filter (where not of_extension), '{}') as functions
      from (select p.probin collate "C" as library, ${ofExtension('pg_proc', 'p.oid')} as of_extension,
                   (pg_identify_object('pg_proc'::regclass, p.oid, 0)).identity as identity
              from pg_proc p join pg_language l on l.oid = p.prolang join pg_namespace n on n.oid = p.pronamespace
             where l.lanname = 'c' and p.probin is not null and p.oid >= ${FIRST_USER_OID} and (${USER_SCHEMA} or ${ofExtension('pg_proc', 'p.oid')})) found
     group by library order by library`);
  return rows;
}

/** pg_dump names the handler only where it carries it (dumpProcLang). */
const LANGUAGES = `
  select l.lanname as name from pg_language l join pg_proc p on p.oid = l.lanplcallfoid
   where l.oid >= ${FIRST_USER_OID} and not ${ofExtension('pg_language', 'l.oid')} and p.pronamespace = 'pg_catalog'::regnamespace
   order by 1`;

/** Those that every server has are pinned, and stand in no record of dependencies. Another session's tables pass. */
const COLLATIONS = `
  select distinct c.collname as name from pg_collation c join pg_depend d on d.refclassid = 'pg_collation'::regclass and d.refobjid = c.oid
    left join pg_class r on d.classid = 'pg_class'::regclass and r.oid = d.objid
   where c.collnamespace = 'pg_catalog'::regnamespace and d.deptype = 'n'
     and r.relpersistence is distinct from 't' order by 1`;

const OWN_COLLATION = `
  pg_collation c join pg_namespace n on n.oid = c.collnamespace
   where ${USER_SCHEMA} and not ${ofExtension('pg_collation', 'c.oid')}`;

const LOCALES = `
  select distinct locale collate "C" as name
    from (select unnest(array[c.collcollate, c.collctype]) as locale, c.collprovider as provider from ${OWN_COLLATION}) own
   where provider = 'c' and locale not in ('C', 'POSIX') order by 1`;

const ICU_COLLATIONS = `select c.collname as name from ${OWN_COLLATION} and c.collprovider = 'i' limit 1`;

/** Options by which PostgreSQL's own templates are told files, all with names of plain letters. */
const FILE_OPTIONS = ['afffile', 'dictfile', 'stopwords', 'synonyms'];
const OPTION = /(?:"([^"]+)"|([a-z_]+)) = '([^'\\]*)'/g;

async function readDictionaries(client: pg.Client): Promise<ServerNeeds['dictionaries']> {
  const { rows } = await client.query<{ name: string; template: string; options: string }>(`
    select format('%I.%I', n.nspname, d.dictname) as name, t.tmplname as template, d.dictinitoption as options
      from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace join pg_ts_template t on t.oid = d.dicttemplate
     where ${USER_SCHEMA} and t.tmplnamespace = 'pg_catalog'::regnamespace and d.dictinitoption is not null
       and not ${ofExtension('pg_ts_dict', 'd.oid')} order by 1`);
  return rows.flatMap(({ name, template, options }) => {
    const files = [...options.matchAll(OPTION)]
      .map(([, quoted, plain = '', value = '']) => ({ name: (quoted ?? plain).toLowerCase(), value }))
      .filter((option) => FILE_OPTIONS.includes(option.name));
    return files.length === 0 ? [] : [{ name, template, options: files }];
  });
}
