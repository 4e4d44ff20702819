import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { holdfastVersion } from './holdfastRun.ts';
import { runScript } from './measure.ts';
import type { Servers } from './servers.ts';

/** What a result means nothing without, as Markdown list items. */
export async function describeMachine(servers: Servers): Promise<string> {
  const processors = cpus();
  return [
    `- ${processors.length} cores, ${processors[0]?.model.trim()}, ${(totalmem() / 2 ** 30).toFixed(1)} GiB memory, Linux ${release()}`,
    `- Holdfast ${await holdfastVersion()}, Node ${process.versions.node}`,
    `- ${await firstLine(`${join(servers.postgres.binDirectory, 'pg_dump')} --version`)}`,
    `- zstd ${/v[\d.]+/.exec(await firstLine('zstd --version'))?.[0] ?? ''}`,
    '- all servers, storages and programs on this one machine',
  ].join('\n');
}

async function firstLine(script: string): Promise<string> {
  const { output } = await runScript(script, {});
  return output.trim().split('\n')[0] ?? '';
}
