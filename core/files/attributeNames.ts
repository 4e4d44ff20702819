import type { TarProgram } from './tarProgram.ts';
import type { TarEntry } from './tarReader.ts';

/** What an archive of GNU tar's says of extended attributes and ACLs, by the names that people know. */

/** Why it is not even tried to restore an attribute; undefined where it is. */
export function whyNotRestored(name: string, tar: TarProgram | undefined, owners: boolean): string | undefined {
  if (tar === undefined) return 'no GNU tar is installed here';
  const byNumber = tar.xattrs && owners;
  if (isAcl(name)) return tar.acls || byNumber ? undefined : 'the GNU tar here was built without ACLs';
  if (!tar.xattrs) return 'the GNU tar here was built without extended attributes';
  return owners || name.startsWith('user.') ? undefined : 'it takes root, and a restore of the owners, to set them';
}

export interface Attribute {
  /** Of ACLs: users and groups by name, as far as they have one. */
  readonly text?: string;
  /** As the kernel has it; of ACLs users and groups by number. */
  readonly value?: string;
}

const ACLS: Readonly<Record<string, string>> = {
  'SCHILY.acl.access': 'ACL',
  'SCHILY.acl.default': 'default ACL',
  // GNU tar records these too, also without being asked for ACLs.
  'SCHILY.xattr.system.posix_acl_access': 'ACL',
  'SCHILY.xattr.system.posix_acl_default': 'default ACL',
};

/** By the names that people know: `ACL`, `default ACL`, `user.comment`. */
export function attributesOf(keywords: TarEntry['attributes']): Map<string, Attribute> {
  const attributes = new Map<string, Attribute>();
  for (const [keyword, value] of keywords ?? []) {
    const name = ACLS[keyword] ?? attributeName(keyword);
    const text = keyword.startsWith('SCHILY.acl.') ? aclText(value) : undefined;
    // Nothing but what the mode says too.
    if (name === 'ACL' && text?.split(',').length === BASE_ENTRIES) continue;
    attributes.set(name, { ...attributes.get(name), ...(text === undefined ? { value } : { text }) });
  }
  return attributes;
}

/** user::, group:: and other:: (acl(5)). */
const BASE_ENTRIES = 3;

function aclText(value: string): string {
  const entries = value.split(/[\n,]/).map((entry) => entry.replace(/#.*/, '').trim());
  return entries
    .filter((entry) => entry !== '')
    .toSorted()
    .join(',');
}

/** GNU tar writes `=` and `%` of a name as they are in addresses of the web. */
function attributeName(keyword: string): string {
  return keyword
    .slice('SCHILY.xattr.'.length)
    .replaceAll(/%(3D|25)/g, (_all, code: string) => (code === '25' ? '%' : '='));
}

export function isAcl(name: string): boolean {
  return name === 'ACL' || name === 'default ACL';
}

/** SELinux's and its like: no loss, what reads them sets them anew. The capabilities of programs are no label. */
export function isLabel(name: string): boolean {
  return name.startsWith('security.') && name !== 'security.capability';
}
