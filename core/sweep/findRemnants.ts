import { MANIFEST_NAME, parseBackupPrefix, type BackupLocation } from '../repository/layout.ts';
import type { Backend, PendingUpload, StoredObject } from '../storage/backend.ts';
import { isProbeKey } from '../storage/probe/probeKeys.ts';

/** What one backup's folder holds that no manifest stands beside, and the uploads that are under way into it. */
export interface FoundRemnant {
  readonly location: BackupLocation;
  /** A manifest stands there: its objects are a backup, only the uploads are remnants. */
  published: boolean;
  objects: number;
  bytes: number;
  readonly uploads: PendingUpload[];
  /** The newest of its objects and uploads. */
  changedAt: Date;
}

export interface FoundRemnants {
  readonly remnants: readonly FoundRemnant[];
  /** Of probes and doctors that died. */
  readonly probeObjects: readonly StoredObject[];
  readonly probeUploads: readonly PendingUpload[];
  /** Objects and uploads that are not of Holdfast's layout. */
  readonly foreign: number;
}

/** The names that parts get, and nothing else: `database.dump.zst.enc`, `media.tar.zst.enc.001`. */
const PART_NAME = /^[a-z0-9][\w.-]*\.enc(\.\d{3,})?$/;
const SOURCE_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/**
 * Goes once through all keys of a backend. Uploads are listed before objects: one that is completed meanwhile is seen as
 * an object.
 */
export async function findRemnants(backend: Backend, signal: AbortSignal): Promise<FoundRemnants> {
  const remnants = new Map<string, FoundRemnant>();
  const probeUploads: PendingUpload[] = [];
  const probeObjects: StoredObject[] = [];
  let foreign = 0;
  for await (const upload of backend.listUploads('', signal)) {
    const place = placeOf(upload.key);
    if (upload.key === '' || isProbeKey(upload.key)) probeUploads.push(upload);
    else if (place?.kind === undefined) foreign += 1;
    else noteUpload(remnants, place, upload);
  }
  // Keys come in order, so a folder's objects come together: only one folder is held at a time.
  let folder: OpenFolder | undefined;
  const closeFolder = () => {
    if (folder) closeInto(remnants, folder);
    folder = undefined;
  };
  for await (const object of backend.list('', signal)) {
    const place = placeOf(object.key);
    if (place?.prefix !== folder?.prefix) closeFolder();
    if (isProbeKey(object.key)) probeObjects.push(object);
    else if (place?.kind === undefined) foreign += 1;
    else noteObject((folder ??= openFolder(place)), place.kind, object);
  }
  closeFolder();
  return { remnants: [...remnants.values()], probeObjects, probeUploads, foreign };
}

/** Whether a key is one that a backup writes for its parts. */
export function isPartKey(key: string): boolean {
  return placeOf(key)?.kind === 'part';
}

interface Place {
  readonly prefix: string;
  readonly location: BackupLocation;
  readonly kind: 'part' | 'manifest' | undefined;
}

function placeOf(key: string): Place | undefined {
  const [source = '', tier, backup, name = '', ...more] = key.split('/');
  const prefix = `${source}/${tier}/${backup}/`;
  const location = parseBackupPrefix(prefix);
  if (location === undefined || !SOURCE_NAME.test(source) || more.length > 0) return undefined;
  return { prefix, location, kind: name === MANIFEST_NAME ? 'manifest' : PART_NAME.test(name) ? 'part' : undefined };
}

interface OpenFolder extends Omit<FoundRemnant, 'uploads'> {
  readonly prefix: string;
}

function openFolder({ prefix, location }: Place): OpenFolder {
  return { prefix, location, published: false, objects: 0, bytes: 0, changedAt: new Date(0) };
}

function noteObject(folder: OpenFolder, kind: 'part' | 'manifest', object: StoredObject): void {
  if (kind === 'manifest') {
    folder.published = true;
    return;
  }
  folder.objects += 1;
  folder.bytes += object.bytes;
  folder.changedAt = later(folder.changedAt, object.modifiedAt);
}

function noteUpload(remnants: Map<string, FoundRemnant>, { prefix, location }: Place, upload: PendingUpload): void {
  const known = remnants.get(prefix);
  const remnant = known ?? { location, published: false, objects: 0, bytes: 0, uploads: [], changedAt: new Date(0) };
  remnant.uploads.push(upload);
  remnant.changedAt = later(remnant.changedAt, upload.begunAt);
  remnants.set(prefix, remnant);
}

function closeInto(remnants: Map<string, FoundRemnant>, { prefix, ...folder }: OpenFolder): void {
  const withUploads = remnants.get(prefix);
  if (withUploads === undefined) {
    if (!folder.published) remnants.set(prefix, { ...folder, uploads: [] });
    return;
  }
  if (folder.published) {
    withUploads.published = true;
    return;
  }
  const { objects, bytes } = folder;
  Object.assign(withUploads, { objects, bytes, changedAt: later(withUploads.changedAt, folder.changedAt) });
}

function later(one: Date, other: Date): Date {
  return one > other ? one : other;
}
