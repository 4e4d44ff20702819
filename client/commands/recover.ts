import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import { addExtractOptions, extractFromCopies, type ExtractOptions } from '../extraction.ts';
import { addCheckingKeyOption, addKeyOption, type KeyOptions } from '../recover/keys.ts';
import type { RecoveryOptions } from '../recover/run.ts';
import { addServerOptions } from '../recover/serverOptions.ts';
import { addStorageOptions, type StorageOptions } from '../recover/storages.ts';
import { addBackupArgument, addRestoreOptions } from '../restoreOptions.ts';
import type { Terminal } from '../terminal.ts';

/** For the day on which only storages and a key are left: no configuration, no catalog, no Temporal, no worker. */
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

type ReadOptions = StorageOptions & KeyOptions;

function addList(recover: Command, terminal: Terminal): void {
  const list = recover.command('list').description('list the backups on storages').argument('[source]');
  addExamples(addCheckingKeyOption(addStorageOptions(list, 'each is listed')), [
    ['holdfast recover list --local /mnt/copies --verify-key sign.pub.pem', 'a directory'],
    ['holdfast recover list --s3-bucket shop --s3-endpoint https://s3.example.com', 'a bucket'],
  ]);
  list.action(
    terminal.action(async (source: string | undefined, options: ReadOptions) => {
      const { recoverCheckingKeys } = await import('../recover/keys.ts');
      const { recoverStorages } = await import('../recover/storages.ts');
      const { listStorages } = await import('../recover/list.ts');
      const storages = await recoverStorages(options, process.env);
      try {
        const checkingKeys = await recoverCheckingKeys(options, terminal);
        return await listStorages(terminal, storages.copies, checkingKeys, { source, mayBeEmpty: false });
      } finally {
        storages.close();
      }
    }),
  );
}

const TRIED = 'where the copy on one is bad or out of reach the next is tried';

function addExtract(recover: Command, terminal: Terminal): void {
  const extract = recover
    .command('extract')
    .description('take a part out of a backup on a storage')
    .argument('<backup>', 'id, or the beginning of one');
  addExamples(addExtractOptions(addKeyOption(addCheckingKeyOption(addStorageOptions(extract, TRIED)))), [
    ['holdfast recover extract 20261120T02 --local /mnt/copies --key escrow.pem -o shop.dump', 'for pg_restore'],
  ]);
  extract.action(
    terminal.action(async (backup: string, options: ReadOptions & ExtractOptions) => {
      const { recoverCheckingKeys, recoverOpeningKeys } = await import('../recover/keys.ts');
      const { recoverStorages } = await import('../recover/storages.ts');
      const { copiesOnStorages } = await import('../locate.ts');
      const openingKeys = await recoverOpeningKeys(options);
      const storages = await recoverStorages(options, process.env);
      try {
        const checkingKeys = await recoverCheckingKeys(options, terminal);
        const copies = await copiesOnStorages(storages.copies, terminal, backup, checkingKeys);
        return await extractFromCopies(terminal, copies, openingKeys, options);
      } finally {
        storages.close();
      }
    }),
  );
}

function addRestore(recover: Command, terminal: Terminal): void {
  const restore = addBackupArgument(recover.command('restore')).description(
    'restore a backup from storages: its database into a new one, its file trees into new directories',
  );
  addServerOptions(addKeyOption(addCheckingKeyOption(addStorageOptions(restore, TRIED))));
  addRestoreOptions(restore, {
    source: 'needed with latest; default: the one of the id',
    target: 'default: no database is restored',
    table: '',
    files:
      'file trees to restore (default: with --into DIRECTORY all of the backup, else those of --into TREE=DIRECTORY)',
    jobs: 'default: 2',
  }).option(
    '--into <directory>',
    'where file trees come: a directory, in which each comes into a folder of its name, or TREE=DIRECTORY for the place of one; can be given several times; nothing is overwritten',
    several,
  );
  addExamples(restore, [
    [
      'holdfast recover restore latest --source shop --local /mnt/copies --key escrow.pem --target shop --into /srv/restored --dry-run',
      'what it would do, and what stands in its way',
    ],
    [
      'holdfast recover restore latest --source shop --local /mnt/copies --key escrow.pem --database-url postgresql://postgres@db --target shop --create-roles',
      'the database',
    ],
    [
      'holdfast recover restore 20261120T02 --local /mnt/copies --key escrow.pem --into media=/srv/shop/media --into config=/etc/shop',
      'two file trees',
    ],
    [
      'holdfast recover restore latest --source shop --local /mnt/copies --key escrow.pem --path media/photos/1.jpg --into media=rescued',
      'one file, into the new directory rescued/photos',
    ],
    [
      'holdfast recover restore latest --source shop --local /mnt/copies --s3-bucket shop --s3-region eu-central-1 --key escrow.pem --target shop --table orders',
      'one table, from the bucket where the directory has no good copy',
    ],
  ]);
  restore.action(
    terminal.action(async (backup: string, options: RecoveryOptions) => {
      const { runRecovery } = await import('../recover/run.ts');
      return runRecovery(terminal, backup, options);
    }),
  );
}

function several(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}
