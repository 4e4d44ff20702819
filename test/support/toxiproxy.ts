import { join } from 'node:path';
import { z } from 'zod';
import { freePort } from '../../core/tools/freePort.ts';
import { bringGoTool, type GoTool } from '../../core/tools/goTool.ts';
import type { Say } from '../../core/tools/say.ts';
import { startServer } from '../../core/tools/server.ts';
import { temporaryDirectory, type Scope } from './directories.ts';

/** Toxiproxy: a network between two programs that can be made slow, silent or broken while they talk. */

const TOXIPROXY: GoTool = {
  program: 'toxiproxy-server',
  variable: 'TOXIPROXY_PATH',
  what: 'toxiproxy, the bad network of the fault tests',
  module: 'github.com/Shopify/toxiproxy/v2',
  version: 'v2.12.0',
  package: 'github.com/Shopify/toxiproxy/v2/cmd/server',
  go: '1.23',
  takes: 'about a minute',
  releases: 'https://github.com/Shopify/toxiproxy/releases',
};

const READY_TIMEOUT = 20_000;

/** The kinds of harm that are used here, as "Toxics" in toxiproxy's README describes them. */
export type Toxic =
  /** Kilobytes a second. */
  | { type: 'bandwidth'; attributes: { rate: number } }
  /** Milliseconds. */
  | { type: 'latency'; attributes: { latency: number; jitter?: number } }
  /** Nothing passes; after so many milliseconds the connection is closed, with 0 never. */
  | { type: 'timeout'; attributes: { timeout: number } }
  /** The connection is reset after so many milliseconds. */
  | { type: 'reset_peer'; attributes: { timeout: number } }
  /** The connection ends once so many bytes have passed. */
  | { type: 'limit_data'; attributes: { bytes: number } };

export interface ToxicLink {
  readonly endpoint: string;
  /** Does harm in one direction to every connection, those that are open included, until `heal`. */
  poison(direction: 'upstream' | 'downstream', toxic: Toxic): Promise<void>;
  heal(): Promise<void>;
  /** Ends every connection and refuses new ones until `goUp`. */
  goDown(): Promise<void>;
  goUp(): Promise<void>;
}

export async function bringToxiproxy(say: Say): Promise<string> {
  return bringGoTool(TOXIPROXY, process.env, say);
}

/** Starts toxiproxy with one link to a server, given as `http://host:port`. */
export async function startToxicLink(scope: Scope, target: string): Promise<ToxicLink> {
  const directory = await temporaryDirectory(scope);
  const [controlPort, port] = [await freePort(), await freePort()];
  const control = `http://127.0.0.1:${controlPort}`;
  const server = await startServer({
    name: 'toxiproxy',
    command: await bringToxiproxy(() => undefined),
    args: ['-host=127.0.0.1', `-port=${controlPort}`],
    environment: { LOG_LEVEL: 'error' },
    workingDirectory: directory,
    logFile: join(directory, 'toxiproxy.log'),
    stopSignal: 'SIGTERM',
    ready: () =>
      fetch(`${control}/version`).then(
        ({ ok }) => ok,
        () => false,
      ),
    readyTimeout: READY_TIMEOUT,
    errorType: 'ToolMissing',
  });
  scope.after(() => server.close());
  const tell = (path: string, body: unknown) => post(`${control}${path}`, body);
  await tell('/proxies', { name: 'link', listen: `127.0.0.1:${port}`, upstream: new URL(target).host });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    poison: (stream, toxic) => tell('/proxies/link/toxics', { stream, ...toxic }),
    heal: async () => {
      const toxics = z.array(z.object({ name: z.string() })).parse(await get(`${control}/proxies/link/toxics`));
      for (const { name } of toxics) await fetch(`${control}/proxies/link/toxics/${name}`, { method: 'DELETE' });
    },
    goDown: () => tell('/proxies/link', { enabled: false }),
    goUp: () => tell('/proxies/link', { enabled: true }),
  };
}

async function post(url: string, body: unknown): Promise<void> {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`toxiproxy answered ${answer.status}: ${await answer.text()}`);
}

async function get(url: string): Promise<unknown> {
  return (await fetch(url)).json();
}
