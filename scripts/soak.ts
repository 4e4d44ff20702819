import { TEST_SERVERS_VARIABLE } from '../test/support/addresses.ts';
import { startTestServers } from '../test/support/testServers.ts';
import { bringToxiproxy } from '../test/support/toxiproxy.ts';
import { readOptions, USAGE } from '../test/soak/options.ts';
import { soak } from '../test/soak/soak.ts';

/** Kills workers for as long as it takes, and looks whether every promise is kept. See test/soak/options.ts for its flags. */

const say = (line: string) => console.log(line);

if (process.argv.includes('--help')) {
  say(USAGE);
  process.exit(0);
}
const options = readOptions(process.argv.slice(2));
await bringToxiproxy(console.error);
const servers = await startTestServers(console.error);
process.env[TEST_SERVERS_VARIABLE] = JSON.stringify(servers.addresses);
// Each of the many workers of a soak is ended with the process.
process.setMaxListeners(0);
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
const breaches = await soak(options, say).catch((error: unknown) => [
  error instanceof Error ? (error.stack ?? error.message) : String(error),
]);
await servers.close();
for (const breach of breaches) say(breach);
say(breaches.length === 0 ? 'every promise was kept' : `${breaches.length} promises were broken`);
say(`again: ${options.command}`);
// Ended by hand: the tests' helpers belong to node:test, which would add a report of no tests.
process.exit(breaches.length === 0 ? 0 : 1);
