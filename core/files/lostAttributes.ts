import type { PathList } from '../backup/part.ts';
import { attributesOf, isAcl, isLabel, whyNotRestored } from './attributeNames.ts';
import { createPathCollector } from './paths.ts';
import { plainName } from './pathSelection.ts';
import type { TarEntry } from './tarReader.ts';
import type { TarProgram } from './tarProgram.ts';

export interface LostAttributesCollector {
  /** Takes every entry that is unpacked. */
  meet(entry: TarEntry): void;
  /** Takes every line that GNU tar writes on standard error. */
  hear(line: string): void;
  /** `a/b: user.comment`, `a/b: ACL`. */
  list(): PathList;
}

/** Names of entries with ACLs that are remembered; of trees with more every complaint counts. */
const REMEMBERED = 100_000;

/**
 * Gathers the extended attributes and ACLs of an archive that unpacking does not bring back: those that are not even tried,
 * and those that GNU tar, which ends well all the same, says it could not set.
 */
export function createLostAttributes(tar: TarProgram | undefined, owners: boolean): LostAttributesCollector {
  const lost = createPathCollector();
  const withAcl = new Set<string>();
  /** Where the kernel's own form of an ACL is set too, names in the other one that nobody has here are no loss. */
  const byNumber = tar?.xattrs === true && owners;

  /** GNU tar sets an ACL on every file, and complains of those too that hold nothing but the mode. */
  const hasAcl = (name: string) => withAcl.size >= REMEMBERED || withAcl.has(name) || name.includes('\u{fffd}');

  return {
    meet: (entry) => {
      for (const name of attributesOf(entry.attributes).keys()) {
        if (isLabel(name)) continue;
        if (whyNotRestored(name, tar, owners) !== undefined) lost.add(`${plainName(entry.path)}: ${name}`);
        else if (isAcl(name) && withAcl.size < REMEMBERED) withAcl.add(textOf(plainName(entry.path)));
      }
    },
    hear: (line) => {
      const [, attribute = '', name, whole] = CANNOT_SET.exec(line) ?? [];
      if (name !== undefined) {
        const acl = attribute === '' || attribute.startsWith('system.posix_acl_');
        if (isLabel(attribute) || (acl && whole !== undefined && !hasAcl(plainName(name)))) return;
        lost.add(bytesOf(`${plainName(name)}: ${acl ? 'ACL' : attribute}`));
      }
      const unknown = UNKNOWN_NAME.exec(line)?.[1];
      if (unknown !== undefined && !byNumber) lost.add(bytesOf(`${plainName(unknown)}: ACL`));
    },
    list: () => lost.list(),
  };
}

/** In a name a line may end: of such a one the beginning is told. */
const CANNOT_SET = /: Cannot set (?:'(.*?)' extended attribute|POSIX ACLs) for file '(.*?)(?:(': [^']*)|$)$/;
const UNKNOWN_NAME = /: (.*): Warning: Cannot acl_from_text: /;

function textOf(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
