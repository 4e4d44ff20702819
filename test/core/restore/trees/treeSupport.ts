import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { listArchive } from '../../../../core/files/listArchive.ts';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { objectKey } from '../../../../core/repository/layout.ts';
import { locationOf } from '../../../../core/repository/location.ts';
import { stagingOf } from '../../../../core/restore/trees/stagingDirectory.ts';
import type { TreeBackup, TreePlace } from '../../../../core/restore/trees/trees.ts';
import { openLocalBackend } from '../../../../core/storage/local.ts';
import { temporaryDirectory, type Scope } from '../../../support/directories.ts';
import { archiveTree, treeConfiguration } from '../../files/trees.ts';
import { newBackupKeys, storeBackup, type PlainPart } from '../../repository/storedBackup.ts';

export interface StoredTree extends TreeBackup {
  /** The directories that the copies are in. */
  readonly roots: readonly string[];
}

/** Archives a directory as a backup does and stores it, as the tree `media`, on so many local storages. */
export async function backUpTree(
  scope: Scope,
  directory: string,
  options: { readonly tar: TarProgram | undefined; readonly copies?: number },
): Promise<StoredTree> {
  const { archive, report } = await archiveTree(treeConfiguration(directory, { minimumFiles: 0 }), {
    tar: options.tar,
  });
  // Arrays that may be changed, as the manifest's schema has them.
  return storeArchive(scope, archive, structuredClone(report) as PlainPart['tree'], options.copies);
}

/** Stores bytes as the tree `media` of a backup; `tree` unset: what they hold. */
export async function storeArchive(
  scope: Scope,
  bytes: Buffer,
  tree?: PlainPart['tree'],
  copies = 1,
): Promise<StoredTree> {
  const keys = newBackupKeys();
  const roots: string[] = [];
  for (let count = 0; count < copies; count += 1) roots.push(await temporaryDirectory(scope));
  const backends = roots.map((path, index) => openLocalBackend(`copy-${index + 1}`, { type: 'local', path }));
  const manifest = await storeBackup(backends, keys, [
    { part: 'media', format: 'tar', bytes, tree: tree ?? (await reportOf(bytes)) },
  ]);
  const opened = backends.map((backend) => ({ backend: backend.name, open: async () => backend }));
  return { manifest, copies: opened, openingKeys: [keys.aes], roots };
}

async function reportOf(bytes: Buffer): Promise<NonNullable<PlainPart['tree']>> {
  const { files, directories, links, bytes: contents } = await listArchive(Readable.from([bytes]));
  const none = { count: 0, paths: [] };
  return { files, directories, links, bytes: contents, changed: none, vanished: none, unreadable: none, skipped: none };
}

/** Changes one byte in the middle of a copy's only object. */
export async function damage({ roots, manifest }: StoredTree, copy: number): Promise<void> {
  const name = manifest.parts[0]?.objects[0]?.name ?? '';
  const file = join(roots[copy] ?? '', objectKey(locationOf(manifest), name));
  const bytes = await readFile(file);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

/** A restore of the tree `media` over `path`. */
export function placeOf(path: string, other: Partial<TreePlace> = {}): TreePlace {
  return { tree: 'media', path, mode: 'in-place', id: 'r1', mark: 'test/1', ...other };
}

/** Lets a copy of a staging directory pass for one that the restore made there. */
export async function adopt(place: TreePlace): Promise<void> {
  const { directory } = await stagingOf(place);
  const file = join(directory, 'place.json');
  const record: object = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...record, inode: String((await stat(directory, { bigint: true })).ino) }));
}
