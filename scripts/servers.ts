import { once } from 'node:events';
import { TEST_SERVERS_VARIABLE } from '../test/support/addresses.ts';
import { startTestServers } from '../test/support/testServers.ts';

/** Keeps the tests' servers running, so that one test after the other starts at once: `npm run servers`. */
const servers = await startTestServers(console.error);
const forever = setInterval(() => undefined, 1 << 30);
console.log(`export ${TEST_SERVERS_VARIABLE}='${JSON.stringify(servers.addresses)}'`);
console.error('Set this in the shell that runs the tests. Ctrl-C ends the servers.');
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
clearInterval(forever);
await servers.close();
