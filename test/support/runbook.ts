import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** docs/recovery-runbook.md as programs: its pages by their headings, each with its commands as they are printed. */
export interface Page {
  readonly title: string;
  /** All blocks of the page that are marked `sh`, in order. */
  readonly commands: string;
}

const RUNBOOK = new URL('../../docs/recovery-runbook.md', import.meta.url);
const SETTINGS_PAGE = 'Before you begin';

export interface Runbook {
  /** Names that the first page exports, for the reader to put own values in. */
  readonly settings: readonly string[];
  /** Every other page that has commands. */
  readonly pages: readonly Page[];
}

export async function readRunbook(): Promise<Runbook> {
  const text = await readFile(RUNBOOK, 'utf8');
  const pages = text
    .split(/^#{2,3} /m)
    .slice(1)
    .map((section) => ({
      title: section.slice(0, section.indexOf('\n')),
      commands: [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('\n'),
    }));
  const first = pages.find(({ title }) => title === SETTINGS_PAGE);
  return {
    settings: [...(first?.commands ?? '').matchAll(/\b([A-Z_]+)=/g)].map(([, name]) => name ?? ''),
    pages: pages.filter(({ title, commands }) => title !== SETTINGS_PAGE && commands !== ''),
  };
}

export interface PageRun {
  readonly code: number | null;
  /** Both outputs, as an operator sees them. */
  readonly output: string;
}

/** Stops at the first command that fails, and ends what was left in the background, as closing the terminal does. */
const TERMINAL = `set -euo pipefail; trap 'jobs -p | xargs -r kill; wait' EXIT\n`;

export function runPage(
  { commands }: Page,
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<PageRun> {
  const child = spawn('bash', ['-c', TERMINAL + commands], {
    cwd: directory,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
