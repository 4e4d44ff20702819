import { createHash } from 'node:crypto';
import { attributesOf, isAcl, isLabel, whyNotRestored, type Attribute } from '../../files/attributeNames.ts';
import { createPathCollector, printablePath, type PathCollector } from '../../files/paths.ts';
import { plainName } from '../../files/pathSelection.ts';
import { readAttributes } from '../../files/readAttributes.ts';
import type { TarEntry } from '../../files/tarReader.ts';
import type { DifferenceList } from './treeDifferences.ts';
import type { CompareTreeOptions, LostAttributes } from './trees.ts';

export interface AttributeComparison {
  /** Takes every entry that was restored with its attributes. */
  add(entry: TarEntry): Promise<void>;
  /** Takes one that is known to be lost. */
  lose(entry: TarEntry, name: string, reason: string): void;
  /** To be called after the last entry. */
  end(): Promise<{ readonly lost: readonly LostAttributes[]; readonly labels: LostAttributes | undefined }>;
}

/** So many entries are looked at in one go: that bounds the memory, and starts few programs. */
const ENTRIES_AT_ONCE = 500;
const CHARACTERS_AT_ONCE = 4 * 2 ** 20;

/**
 * Holds the extended attributes and ACLs of a restored tree against those in the archive. One that came out other than it
 * was is a difference. One that is not there at all could not be kept by what it was restored with, or onto: the tree is
 * what it was without it, and the answer says which they are and why. Entries that have none in the archive are passed over.
 */
export function createAttributeComparison(options: CompareTreeOptions, found: DifferenceList): AttributeComparison {
  const owners = options.owners ?? process.getuid?.() === 0;
  const lost = new Map<string, PathCollector>();
  const labels = createPathCollector();
  let batch: TarEntry[] = [];
  let characters = 0;

  const lose = (entry: TarEntry, name: string, reason: string) => {
    const list = lost.get(reason) ?? createPathCollector();
    lost.set(reason, list);
    list.add(named(entry, name));
  };

  const compareEntry = (entry: TarEntry, actual: ReadonlyMap<string, Attribute>) => {
    const expected = attributesOf(entry.attributes);
    for (const [name, attribute] of expected) {
      const there = actual.get(name);
      const verdict = judge(attribute, there);
      const reason = whyNotRestored(name, options.tar, owners);
      if (verdict === 'same') continue;
      if (isLabel(name)) labels.add(named(entry, name));
      else if (verdict === 'renumbered') {
        if (owners) lose(entry, name, RENUMBERED);
      } else if (verdict === 'missing' || reason !== undefined) lose(entry, name, reason ?? NOT_KEPT);
      else found.add(entry, whatIs(name), textOf(attribute), textOf(there));
    }
    for (const [name, attribute] of actual)
      if (!expected.has(name) && !isLabel(name)) found.add(entry, whatIs(name), 'none', textOf(attribute));
  };

  const flush = async () => {
    const entries = batch;
    batch = [];
    characters = 0;
    if (entries.length === 0) return;
    const { tar, directory, signal } = options;
    const names = entries.map(({ path }) => plainName(path));
    const there = tar && (tar.xattrs || tar.acls) ? await readAttributes(tar, directory, names, signal) : undefined;
    for (const entry of entries) {
      const attributes = there?.get(plainName(entry.path));
      // That one is not there or cannot be read is a difference already.
      if (there === undefined || attributes !== undefined) compareEntry(entry, attributesOf(attributes));
    }
  };

  return {
    lose,
    add: async (entry) => {
      if (entry.attributes === undefined) return;
      batch.push(entry);
      for (const value of entry.attributes.values()) characters += value.length;
      if (batch.length >= ENTRIES_AT_ONCE || characters >= CHARACTERS_AT_ONCE) await flush();
    },
    end: async () => {
      await flush();
      const told = [...lost].map(([reason, list]) => ({ reason, ...list.list() }));
      return { lost: told, labels: labels.list().count > 0 ? { reason: GIVEN, ...labels.list() } : undefined };
    },
  };
}

const NOT_KEPT =
  'the file system does not keep them, this user may not set them, or an ACL names users or groups that are not known here';
const RENUMBERED = 'they name users or groups that have another number here than where they were backed up';
const GIVEN = 'the system gives them by rules of its own';

function judge(expected: Attribute, there: Attribute | undefined): 'same' | 'renumbered' | 'missing' | 'other' {
  if (there === undefined) return 'missing';
  if (expected.value !== undefined && expected.value === there.value) return 'same';
  if (expected.text === undefined || expected.text !== there.text) return 'other';
  return expected.value === undefined || there.value === undefined ? 'same' : 'renumbered';
}

function whatIs(name: string): string {
  return isAcl(name) ? name : `attribute ${printablePath(name)}`;
}

/** Values of attributes are the application's own: they are told apart, not shown. */
function textOf(attribute: Attribute | undefined): string {
  if (attribute === undefined) return 'none';
  const { text, value = '' } = attribute;
  return text === undefined
    ? `SHA-256 ${createHash('sha256').update(value, 'latin1').digest('hex')}`
    : printablePath(text);
}

function named({ path }: TarEntry, name: string): string {
  return `${plainName(path)}: ${name}`;
}
