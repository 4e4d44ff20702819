import type { Difference } from '../run.ts';

export interface Comparison<Item> {
  readonly kind: string | ((item: Item) => string);
  readonly expected: readonly Item[];
  readonly found: readonly Item[];
  readonly nameOf: (item: Item) => string;
  /** What is compared of two items of one name. Undefined: the item does not have it. */
  readonly fields: Readonly<Record<string, (item: Item) => string | undefined>>;
  /** Of a field that differs; unset: `difference`. */
  readonly severityOf?: (field: string, item: Item) => Difference['severity'];
  /** True where the found list may hold more. */
  readonly partial?: boolean;
}

/** Every item that is missing, surplus or different, in the order of the expected list. */
export function compareLists<Item>(comparison: Comparison<Item>): Difference[] {
  const keyOf = (item: Item) => `${kindOf(comparison, item)}\0${comparison.nameOf(item)}`;
  const found = new Map(comparison.found.map((item) => [keyOf(item), item]));
  const differences: Difference[] = [];
  for (const item of comparison.expected) {
    const other = found.get(keyOf(item));
    found.delete(keyOf(item));
    if (other === undefined) differences.push(presence(comparison, item, 'there', 'missing'));
    else differences.push(...compareFields(comparison, item, other));
  }
  if (comparison.partial !== true)
    for (const item of found.values()) differences.push(presence(comparison, item, 'none', 'there'));
  return differences;
}

function compareFields<Item>(comparison: Comparison<Item>, item: Item, other: Item): Difference[] {
  const { fields, nameOf, severityOf } = comparison;
  return Object.entries(fields).flatMap(([what, read]): Difference[] => {
    const expected = read(item);
    const found = read(other);
    if (expected === found) return [];
    return [
      {
        severity: severityOf?.(what, item) ?? 'difference',
        kind: kindOf(comparison, item),
        object: nameOf(item),
        what,
        expected: expected ?? 'none',
        found: found ?? 'none',
      },
    ];
  });
}

function presence<Item>(comparison: Comparison<Item>, item: Item, expected: string, found: string): Difference {
  const object = comparison.nameOf(item);
  return { severity: 'difference', kind: kindOf(comparison, item), object, what: 'presence', expected, found };
}

function kindOf<Item>({ kind }: Comparison<Item>, item: Item): string {
  return typeof kind === 'string' ? kind : kind(item);
}
