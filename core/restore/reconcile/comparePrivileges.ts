import type { Inventory, SystemPrivileges } from '../../postgres/inventorySchema.ts';
import type { Difference } from '../run.ts';
import { bare } from './acrossMajors.ts';

/**
 * Privileges on what no dump makes itself, members of extensions and the server's own objects. What is there beyond the
 * dumped ones is of the server's template, and a remark. Nothing where an inventory of an earlier release does not tell.
 */
export function compareSystemPrivileges(expected: Inventory, found: Inventory): Difference[] {
  if (expected.systemPrivileges === undefined || found.systemPrivileges === undefined) return [];
  const dumped = byObject(expected.systemPrivileges);
  const there = byObject(found.systemPrivileges);
  return [...new Map([...dumped, ...there])].flatMap(([key, { kind, identity }]): Difference[] => {
    const [wanted, has] = [wordsOf(dumped.get(key)), wordsOf(there.get(key))];
    const lacking = wanted.some((word) => !has.includes(word));
    if (!lacking && wanted.length === has.length) return [];
    return [
      {
        severity: lacking ? 'difference' : 'remark',
        kind,
        object: identity,
        what: 'privileges',
        expected: wanted.join(', ') || AS_MADE,
        found: has.join(', ') || AS_MADE,
      },
    ];
  });
}

const AS_MADE = 'those it was made with';

function byObject(list: readonly SystemPrivileges[]): Map<string, SystemPrivileges> {
  return new Map(list.map((each) => [`${each.kind}\0${bare(each.identity)}`, each]));
}

function wordsOf(privileges: SystemPrivileges | undefined): string[] {
  if (privileges === undefined) return [];
  return [...privileges.granted, ...privileges.revoked.map((each) => `no ${each}`)];
}

/**
 * Who granted privileges, where it was not the owner: who loses his own takes those with him that he granted. Digests of
 * privileges do not have it. Nothing where an inventory of an earlier release does not tell.
 */
export function compareGrantors(expected: Inventory, found: Inventory): Difference[] {
  if (expected.needs?.grantors === undefined || found.needs?.grantors === undefined) return [];
  const dumped = grantorsByObject(expected.needs.grantors);
  const there = grantorsByObject(found.needs.grantors);
  return [...new Set([...dumped.keys(), ...there.keys()])].flatMap((object): Difference[] => {
    const [wanted, has] = [dumped.get(object) ?? OWNER_ALONE, there.get(object) ?? OWNER_ALONE];
    if (wanted === has) return [];
    return [{ severity: 'difference', kind: 'privileges', object, what: 'grantor', expected: wanted, found: has }];
  });
}

const OWNER_ALONE = 'its owner alone';

type Grantors = NonNullable<NonNullable<Inventory['needs']>['grantors']>;

function grantorsByObject(list: Grantors): Map<string, string> {
  const grantors = new Map<string, string>();
  for (const { grantor, objects } of list)
    for (const object of objects.map(bare)) {
      const others = grantors.get(object);
      grantors.set(object, others === undefined ? grantor : `${others}, ${grantor}`);
    }
  return grantors;
}
