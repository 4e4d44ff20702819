import { join } from 'node:path';
import type { Terminal } from '../terminal.ts';
import { STATE_FILE } from './layout.ts';
import { stopKeptServers } from './state.ts';

/** Ends what `demo --keep` left running in this directory. */
export async function stopDemo(directory: string, terminal: Terminal): Promise<void> {
  const stopped = await stopKeptServers(join(directory, STATE_FILE));
  terminal.answer({ stopped }, () =>
    stopped.length === 0 ? `Nothing of the demo in ${directory} is running.` : `Stopped ${stopped.join(', ')}.`,
  );
}
