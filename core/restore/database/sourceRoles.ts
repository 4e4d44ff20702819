import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { splitGlobals } from './globalsStatements.ts';

/**
 * SQL that makes these roles as they were at the source, from the part `globals`: first the roles with their attributes
 * and settings, then the memberships among them and with roles that are `present`. Who granted a membership is left out:
 * he need not exist. `complete` can hold password hashes and secret settings, and goes to a server only; `shown` leaves
 * both out.
 */
export function createRolesSql(
  globals: string,
  missing: readonly string[],
  present: readonly string[],
  extent: 'complete' | 'shown',
): string[] {
  const cluster = splitGlobals(globals)
    .filter(({ nameAt }) => nameAt === undefined)
    .map(({ text }) => text);
  const own = missing.flatMap((role) => {
    const found = cluster.filter((text) => isAbout(text, role)).map(withoutDefaults);
    return found.length > 0 ? found : [`CREATE ROLE ${quoteIdentifier(role)}`];
  });
  const known = [...missing, ...present];
  const memberships = cluster.flatMap((text) => {
    const [, group, member, options = ''] = MEMBERSHIP.exec(text) ?? [];
    if (group === undefined || member === undefined) return [];
    const both = [unquoted(group), unquoted(member)];
    if (!both.every((role) => known.includes(role)) || !both.some((role) => missing.includes(role))) return [];
    return [`GRANT ${group} TO ${member}${options.replace(/ GRANTED BY .*$/s, '')}`];
  });
  const all = [...own, ...memberships];
  return (extent === 'complete' ? all : all.flatMap(withoutSecrets)).map((text) => `${text};`);
}

const NAME = String.raw`"(?:[^"]|"")+"|[\p{L}\p{N}_$]+`;
const MEMBERSHIP = new RegExp(`^GRANT (${NAME}) TO (${NAME})(.*)$`, 'su');
const ABOUT_ROLE = new RegExp(String.raw`^(?:CREATE ROLE|ALTER ROLE|COMMENT ON ROLE) (${NAME})(?:\s|$)`, 'su');

function isAbout(text: string, role: string): boolean {
  const [, name] = ABOUT_ROLE.exec(text) ?? [];
  return name !== undefined && unquoted(name) === role;
}

const ATTRIBUTES = new RegExp(String.raw`^(ALTER ROLE (?:${NAME}) WITH)((?: [A-Z]+)+)`, 'su');

/** A new role has none of these, and only a superuser may say so. */
function withoutDefaults(text: string): string {
  return text.replace(
    ATTRIBUTES,
    (_all, start: string, attributes: string) =>
      start + attributes.replaceAll(/ NO(?:SUPERUSER|CREATEROLE|CREATEDB|REPLICATION|BYPASSRLS)\b/g, ''),
  );
}

function withoutSecrets(text: string): string[] {
  if (/^ALTER ROLE .* SET /s.test(text)) return [];
  return [text.replace(/ PASSWORD (?:NULL|'(?:[^']|'')*')/, '')];
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}
