import { InvalidArgumentError, Option, type Command } from 'commander';

/** What `restore` and `recover restore` are told alike. */
export interface RestoreOptions {
  readonly source?: string;
  readonly before?: string;
  readonly target?: string;
  readonly table?: string[];
  readonly files?: string[];
  readonly path?: string[];
  readonly outsideLinks?: true;
  readonly createRoles?: true;
  readonly owner: boolean;
  readonly privileges: boolean;
  readonly jobs?: number;
  readonly dryRun?: true;
}

/** What holds where an option is left out, or of it in this command only; stands in the help. */
export interface RestoreOptionTexts {
  readonly source: string;
  readonly target: string;
  readonly table: string;
  readonly files: string;
  readonly jobs: string;
}

export function addBackupArgument(command: Command): Command {
  return command.argument('<backup>', 'latest, the id of a backup, or the beginning of one');
}

/** The options that say which backup, and what of it. */
export function addRestoreOptions(command: Command, texts: RestoreOptionTexts): Command {
  return command
    .option('--source <name>', `the source it is of (${texts.source})`)
    .option('--before <time>', 'with latest: the newest that was sealed at or before this time')
    .option('--target <database>', `name of the new database (${texts.target})`)
    .option('--table <name...>', `only these tables, schema.table or table${texts.table}`)
    .option('--files <tree...>', texts.files)
    .option('--path <path...>', 'single files and folders of trees, TREE/PATH')
    .option('--outside-links', 'restore symbolic links that lead out of a tree too')
    .option('--create-roles', 'create roles that the server lacks, as they were')
    .option('--no-owner', 'let everything belong to the role that restores')
    .option('--no-privileges', 'grant and revoke nothing')
    .addOption(new Option('--jobs <number>', `programs side by side (${texts.jobs})`).argParser(jobs))
    .option('--dry-run', 'show what would be done, and end');
}

const MOST_JOBS = 32;

function jobs(text: string): number {
  const number = /^[1-9]\d?$/.test(text) ? Number(text) : Number.NaN;
  if (number <= MOST_JOBS) return number;
  throw new InvalidArgumentError(`expected a number from 1 to ${MOST_JOBS}.`);
}
