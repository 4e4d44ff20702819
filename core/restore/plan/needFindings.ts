import type pg from 'pg';
import { codeOf, messageOf } from '../../errors.ts';
import { cutList, quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import type { Inventory, ServerNeeds } from '../../postgres/inventorySchema.ts';
import type { Finding } from '../../postgres/finding.ts';
import { failure } from './finding.ts';
import { tryStatement } from './tryStatement.ts';

/** What the target's server has to know for what is in the database: locales, collations, languages, files of dictionaries. */
export async function needFindings(client: pg.Client, { database, needs }: Inventory): Promise<Finding[]> {
  if (needs === undefined) return [];
  return [
    ...(await localeFindings(client, needs, database)),
    ...(await collationFindings(client, needs, database)),
    ...(await languageFindings(client, needs)),
    ...(await dictionaryFindings(client, needs)),
  ];
}

const LOCALE_ADVICE =
  'Install it on that machine (locale-gen on Debian and Ubuntu, a package glibc-langpack-... on Red Hat) and restart PostgreSQL.';

/** What the database itself is made with. CREATE DATABASE asks for both locales of libc whatever the provider is. */
export async function databaseLocaleFindings(client: pg.Client, { database }: Inventory): Promise<Finding[]> {
  const unknown = await unknownLocales(client, [database.collate, database.ctype]);
  const findings = unknown.map((locale) =>
    failure(`the server's machine does not know the database's locale ${locale}`, LOCALE_ADVICE),
  );
  if (database.localeProvider !== 'icu' || (await hasIcu(client))) return findings;
  return [...findings, failure("the database's locale is of ICU, and the server was built without", ICU_ADVICE)];
}

const ICU_ADVICE = 'Install a PostgreSQL that was built with ICU.';

async function localeFindings(
  client: pg.Client,
  { locales, icu }: ServerNeeds,
  database: Inventory['database'],
): Promise<Finding[]> {
  const own = locales.filter((locale) => locale !== database.collate && locale !== database.ctype);
  const unknown = await unknownLocales(client, own);
  return [
    ...unknown.map((locale) =>
      failure(`the server's machine does not know locale ${locale}, which a collation is made of`, LOCALE_ADVICE),
    ),
    ...(icu && !(await hasIcu(client))
      ? [failure('collations are of ICU, and the server was built without', ICU_ADVICE)]
      : []),
  ];
}

/**
 * Setting a category that every role may set asks the machine's library as CREATE DATABASE does (check_locale), whatever
 * this session's encoding is.
 */
async function unknownLocales(client: pg.Client, locales: readonly string[]): Promise<string[]> {
  const unknown: string[] = [];
  for (const locale of new Set(locales)) {
    const error = await tryStatement(client, `set local lc_monetary = ${quoteLiteral(locale)}`);
    if (codeOf(error) === '22023') unknown.push(locale);
  }
  return unknown;
}

/** initdb makes collations of all that ICU knows. */
async function hasIcu(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(`select from pg_collation where collprovider = 'i' limit 1`);
  return rowCount !== 0;
}

/** A new database gets them from template0; here stand the ones that the database one looks from got. */
async function collationFindings(
  client: pg.Client,
  { collations }: ServerNeeds,
  { encoding }: Inventory['database'],
): Promise<Finding[]> {
  const { rows } = await client.query<{ name: string }>(
    `select collname as name from pg_collation where collnamespace = 'pg_catalog'::regnamespace and collname = any ($1)
        and (collencoding = -1 or pg_encoding_to_char(collencoding) = $2)`,
    [collations, encoding],
  );
  const missing = collations.filter((collation) => !rows.some(({ name }) => name === collation));
  if (missing.length === 0) return [];
  const importing = `SELECT pg_import_system_collations('pg_catalog');`;
  return [
    failure(
      `the server has no collation ${cutList(missing.map(quoteIdentifier))}, which something in the database names`,
      `Install what it is made of on that machine (a locale, or ICU), restart PostgreSQL, and run ${importing} in template0, for as long as ALTER DATABASE template0 ALLOW_CONNECTIONS true; lets one in, and in database ${client.database ?? 'postgres'}, which is looked at.`,
    ),
  ];
}

async function languageFindings(client: pg.Client, { languages }: ServerNeeds): Promise<Finding[]> {
  if (languages.length === 0) return [];
  const { rows } = await client.query<{ name: string }>(
    'select name from pg_available_extensions where name = any ($1)',
    [languages],
  );
  return languages
    .filter((language) => !rows.some(({ name }) => name === language))
    .map((language) =>
      failure(
        `language ${language} is not installed on the server`,
        `Install the package that brings extension ${language}; the dump runs CREATE LANGUAGE.`,
      ),
    );
}

/** PostgreSQL reads the files when a dictionary is made: one is made for a moment, of the same files alone. */
async function dictionaryFindings(client: pg.Client, { dictionaries }: ServerNeeds): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, template, options } of dictionaries) {
    const settings = options.map((option) => `${quoteIdentifier(option.name)} = ${quoteLiteral(option.value)}`);
    const error = await tryStatement(
      client,
      `create text search dictionary pg_temp.holdfast_look (template = pg_catalog.${quoteIdentifier(template)}, ${settings.join(', ')})`,
    );
    if (codeOf(error) === 'F0000')
      findings.push(
        failure(
          `text search dictionary ${name} cannot be made on the server: ${messageOf(error)}`,
          "Copy the dictionary's files into the directory tsearch_data of that server.",
        ),
      );
  }
  return findings;
}
