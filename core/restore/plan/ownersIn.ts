import type { Inventory, InventoryObject } from '../../postgres/inventorySchema.ts';

export interface Owner {
  readonly name: string;
  /** Something that is his, in words. */
  readonly example: string;
}

/**
 * Who is to own what a restore makes, each with an example. Without the role that every database's own owner is a member of,
 * and without the owner of what comes with a range type.
 */
export function ownersIn({ database, objects }: Pick<Inventory, 'database' | 'objects'>): Owner[] {
  const owners = new Map([[database.owner, `database ${database.name}`]]);
  const constructors = rangeConstructors(objects);
  for (const { kind, identity, owner } of objects) {
    const own = owner !== undefined && !(kind === 'function' && constructors.has(identity));
    if (own && !owners.has(owner)) owners.set(owner, `${kind} ${identity}`);
  }
  owners.delete('pg_database_owner');
  return [...owners].map(([name, example]) => ({ name, example })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

const OF_ROLE = /^for role ("(?:[^"]|"")+"|[^" ]+) /;

/** The roles whose default privileges a restore sets. */
export function defaultPrivilegesOf({ objects }: Pick<Inventory, 'objects'>): string[] {
  const roles = objects.flatMap(({ kind, identity }) => (kind === 'default acl' && OF_ROLE.exec(identity)?.[1]) || []);
  return [...new Set(roles.map(unquoted))];
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}

const OF_TWO_BOUNDS = /^(.*)\((.*),\2(,pg_catalog\.text)?\)$/s;

/**
 * The functions that make ranges and multiranges. The server makes them with the type, and gives them to its first superuser
 * whoever makes it; no dump has them. An inventory tells them by their names and arguments only.
 */
function rangeConstructors(objects: readonly InventoryObject[]): Set<string> {
  const named = (wanted: string) => objects.filter(({ kind }) => kind === wanted).map(({ identity }) => identity);
  const types = new Set(named('type'));
  const functions = new Set(named('function'));
  const ranges = new Map<string, string[]>();
  for (const identity of functions) {
    const type = OF_TWO_BOUNDS.exec(identity)?.[1];
    if (type !== undefined && types.has(type)) ranges.set(type, [...(ranges.get(type) ?? []), identity]);
  }
  return new Set(
    [...ranges].flatMap(([type, ofRange]) => {
      const ofMultirange = [...functions].filter((identity) => identity.endsWith(`(${type})`));
      const whole = ofMultirange
        .map((identity) => identity.slice(0, -`(${type})`.length))
        .find((name) => functions.has(`${name}()`) && functions.has(`${name}(${type}[])`));
      if (ofRange.length !== 2 || whole === undefined) return [];
      return [...ofRange, `${whole}()`, `${whole}(${type})`, `${whole}(${type}[])`];
    }),
  );
}
