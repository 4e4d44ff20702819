import type { Catalog } from '../catalog/catalog.ts';
import type { BackupRecord, CopyRecord } from '../catalog/record.ts';
import { adoptBackup } from '../catalog/write.ts';
import type { Configuration } from '../config/schema.ts';
import { flawInListing, type BackendView } from './lookAtBackend.ts';
import type { SilentBackend } from './run.ts';

export interface AdoptOptions {
  readonly id: string;
  readonly configuration: Configuration;
  /** Of the backends that answered. */
  readonly views: readonly BackendView[];
  readonly silent: readonly SilentBackend[];
}

/**
 * Takes a backup into the catalog whose run was ended by force after it had published and before it could record it:
 * `list`, `show` and `extract` are to know it. Its copies stand there as `stored`, which nobody has read. Undefined where
 * no manifest is right, where two differ, or where the catalog has learned of it meanwhile. Throws CatalogUnavailable.
 */
export async function adoptUnrecorded(catalog: Catalog, options: AdoptOptions): Promise<BackupRecord | undefined> {
  const record = recordFromViews(options);
  return record && (await adoptBackup(catalog, record)) ? record : undefined;
}

function recordFromViews({ id, configuration, views, silent }: AdoptOptions): BackupRecord | undefined {
  const holders = views.flatMap(({ backend, folders }) => {
    const read = folders.get(id)?.read;
    return read ? [{ backend, read }] : [];
  });
  const [first] = holders;
  if (first === undefined || holders.some(({ read }) => read.sha256 !== first.read.sha256)) return undefined;
  const { manifest, sha256 } = first.read;
  const plan = configuration.plans[manifest.plan ?? ''];
  // A folder without a manifest may be a copy that lost it: the sweep leaves alone what the catalog counts on.
  const present = views.filter(({ folders }) => folders.has(id)).map(({ backend }) => backend);
  const backends = [...new Set([...(plan?.backends ?? []), ...present])];
  const copies = backends
    .filter((backend) => configuration.backends[backend])
    .map((backend) => copyRecord(backend, { id, views, silent }, manifest));
  const { source, kind, tier, startedAt, sealedAt } = manifest;
  const requiredCopies = Math.max(1, Math.min(plan?.copies.required ?? 1, backends.length));
  const stored = copies.filter(({ state }) => state === 'stored').length;
  return {
    id,
    source,
    kind,
    tier,
    ...(manifest.plan !== undefined && { plan: manifest.plan }),
    state: stored >= requiredCopies ? 'degraded' : 'failed',
    requiredCopies,
    problem: {
      type: 'TooFewCopies',
      message: `Its run ended before it was recorded; it was found on its backends. holdfast verify ${id} opens it.`,
    },
    startedAt,
    endedAt: sealedAt,
    manifest,
    manifestSha256: sha256,
    copies,
  };
}

function copyRecord(
  backend: string,
  { id, views, silent }: Pick<AdoptOptions, 'id' | 'views' | 'silent'>,
  manifest: NonNullable<BackupRecord['manifest']>,
): CopyRecord {
  const folder = views.find((view) => view.backend === backend)?.folders.get(id);
  const away = silent.find((each) => each.backend === backend);
  // Not `failed`, which would say that there never was one.
  if (away) return wanting('missing', 'BackendUnreachable', `it could not be asked: ${away.problem}`);
  if (folder?.problem) return wanting('damaged', folder.problem.type, folder.problem.message);
  if (!folder?.read) return wanting('missing', 'ObjectMissing', `${backend}: the manifest of ${id} is missing`);
  const flaw = flawInListing(backend, manifest, folder);
  if (flaw !== undefined) return wanting('damaged', 'ObjectDamaged', flaw);
  const bytes = [...folder.sizes.values()].reduce((sum, size) => sum + size, 0);
  return { backend, state: 'stored', bytes };

  function wanting(state: CopyRecord['state'], type: NonNullable<CopyRecord['problem']>['type'], message: string) {
    return { backend, state, problem: { type, message } };
  }
}
