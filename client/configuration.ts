import type { Command } from 'commander';
import type { LoadedConfiguration } from '../core/config/load.ts';
import type { Terminal } from './terminal.ts';

/** The path of the configuration that a command was started with. */
export async function configurationPathOf(command: Command): Promise<string> {
  const { configurationPath } = await import('../core/config/load.ts');
  return configurationPath(command.optsWithGlobals<{ config?: string }>().config);
}

/** The configuration a command runs with; its warnings go to standard error. */
export async function loadFor(command: Command, terminal: Terminal): Promise<LoadedConfiguration> {
  const { loadConfiguration } = await import('../core/config/load.ts');
  const { formatIssue } = await import('../core/config/issue.ts');
  const loaded = await loadConfiguration(await configurationPathOf(command));
  for (const warning of loaded.warnings) terminal.warn(formatIssue(warning));
  return loaded;
}
