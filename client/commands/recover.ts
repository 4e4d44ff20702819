import { InvalidArgumentError, Option, type Command } from 'commander';
import { addExamples } from '../examples.ts';
import { addExtractOptions, extractFromCopies, type ExtractOptions } from '../extraction.ts';
import { addKeyOption, addStorageOptions, type RecoverOptions } from '../recover/access.ts';
import { addServerOptions, type ServerOptions } from '../recover/serverOptions.ts';
import type { Terminal } from '../terminal.ts';

/** For the day on which only a storage and a key are left: no configuration, no catalog, no Temporal, no worker. */
export function addRecoverCommand(program: Command, terminal: Terminal): void {
  const recover = program
    .command('recover')
    .description('read backups with a storage and a key alone: no configuration, catalog or Temporal')
    .helpCommand(false);
  addExamples(recover, [['holdfast recover list --local /mnt/copies', 'what is there']]);
  addList(recover, terminal);
  addExtract(recover, terminal);
  addRestore(recover, terminal);
}

function addList(recover: Command, terminal: Terminal): void {
  const list = recover.command('list').description('list the backups on a storage').argument('[source]');
  addExamples(addStorageOptions(list), [
    ['holdfast recover list --local /mnt/copies --verify-key sign.pub.pem', 'a directory'],
    ['holdfast recover list --s3-bucket shop --s3-endpoint https://s3.example.com', 'a bucket'],
  ]);
  list.action(
    terminal.action(async (source: string | undefined, options: RecoverOptions) => {
      const { recoverBackend, recoverCheckingKeys } = await import('../recover/access.ts');
      const { listBackend } = await import('../listBackend.ts');
      const backend = await recoverBackend(options, process.env);
      try {
        const checkingKeys = await recoverCheckingKeys(options, terminal);
        return await listBackend(terminal, backend, checkingKeys, { source, mayBeEmpty: false });
      } finally {
        backend.close();
      }
    }),
  );
}

function addExtract(recover: Command, terminal: Terminal): void {
  const extract = recover
    .command('extract')
    .description('take a part out of a backup on a storage')
    .argument('<backup>', 'id, or the beginning of one');
  addExamples(addExtractOptions(addKeyOption(addStorageOptions(extract))), [
    ['holdfast recover extract 20261120T02 --local /mnt/copies --key escrow.pem -o shop.dump', 'for pg_restore'],
  ]);
  extract.action(
    terminal.action(async (backup: string, options: RecoverOptions & ExtractOptions) => {
      const { recoverBackend, recoverCheckingKeys, recoverOpeningKeys } = await import('../recover/access.ts');
      const { findPlace } = await import('../../core/repository/listRepository.ts');
      const { readManifest } = await import('../../core/repository/readManifest.ts');
      const openingKeys = await recoverOpeningKeys(options);
      const backend = await recoverBackend(options, process.env);
      try {
        const checkingKeys = await recoverCheckingKeys(options, terminal);
        const open = async () => {
          const place = await findPlace(backend, backup);
          return { backend, manifest: (await readManifest(backend, place, checkingKeys)).manifest };
        };
        return await extractFromCopies(terminal, [{ backend: backend.name, open }], openingKeys, options);
      } finally {
        backend.close();
      }
    }),
  );
}

/** What `recover restore` is told beside where the copies and the server are. */
export interface RestoreFlags {
  readonly source?: string;
  readonly before?: string;
  readonly target?: string;
  readonly table?: string[];
  readonly createRoles?: true;
  readonly owner: boolean;
  readonly privileges: boolean;
  readonly jobs: number;
  readonly tree?: string;
  readonly into?: string;
}

function addRestore(recover: Command, terminal: Terminal): void {
  const restore = recover
    .command('restore')
    .description('restore a backup from a storage: its database into a new one, a file tree into a new directory')
    .argument('<backup>', 'latest, the id of a backup, or the beginning of one')
    .option('--source <name>', 'with latest: the source it is of')
    .option('--before <time>', 'with latest: the newest that was sealed at or before this time');
  addServerOptions(addKeyOption(addStorageOptions(restore)))
    .option('--target <database>', 'name of the database to make')
    .option('--table <name...>', 'only these tables, schema.table or table')
    .option('--create-roles', 'create roles that the server lacks, as they were')
    .option('--no-owner', 'let everything belong to the role that restores')
    .option('--no-privileges', 'grant and revoke nothing')
    .addOption(new Option('--jobs <number>', 'programs side by side').argParser(positive).default(2))
    .option('--tree <name>', 'a file tree of the backup')
    .option('--into <directory>', 'where the tree is to stand; must not exist yet');
  addExamples(restore, [
    [
      'holdfast recover restore latest --source shop --local /mnt/copies --key escrow.pem --database-url postgresql://postgres@db --target shop --create-roles',
      'the database',
    ],
    [
      'holdfast recover restore 20261120T02 --local /mnt/copies --key escrow.pem --tree media --into /srv/shop/media',
      'a file tree',
    ],
  ]);
  restore.action(
    terminal.action(async (backup: string, options: RecoverOptions & ServerOptions & RestoreFlags) => {
      const { runRecovery } = await import('../recover/run.ts');
      return runRecovery(terminal, { ...options, backup });
    }),
  );
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError('expected a number from 1 to 999.');
  return Number(text);
}
