import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Scope } from './directories.ts';
import { testS3 } from './servers.ts';

/** What becomes of the bytes of a connection, each way. Changes are for connections made after them. */
export interface Gate {
  /** Bytes from the client that are let through; then they are left lying, and the connection stays open. */
  requestBytes?: number;
  /** The same for the server's answers. */
  answerBytes?: number;
  /** Bytes a second at which a client's bytes are taken. */
  requestRate?: number;
}

export interface GatedProxy {
  readonly endpoint: string;
  gate: Gate;
  /** Connections made so far. */
  connections: number;
  /** Breaks every connection there is, so that the gate is felt by all. */
  drop(): void;
}

/** Stands before the shared S3 server and can fall silent in the middle of anything, as a network does. */
export async function startGatedProxy(scope: Scope): Promise<GatedProxy> {
  const target = new URL(testS3().endpoint);
  const sockets = new Set<Socket>();
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: GatedProxy = { endpoint: '', gate: {}, connections: 0, drop };
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    proxy.connections += 1;
    const { requestBytes, answerBytes, requestRate } = proxy.gate;
    const upstream = connect(Number(target.port), target.hostname);
    keep(client);
    keep(upstream);
    const silent = requestBytes !== undefined || answerBytes !== undefined;
    pass(client, upstream, requestBytes, requestRate);
    pass(upstream, client, answerBytes, undefined);
    client.on('close', () => upstream.destroy());
    // A server that gives the connection up is not heard either.
    upstream.on('close', () => silent || client.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  scope.after(async () => {
    drop();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return Object.assign(proxy, { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function pass(from: Socket, to: Socket, most = Number.POSITIVE_INFINITY, rate?: number): void {
  let passed = 0;
  from.on('data', (chunk: Buffer) => {
    const part = chunk.subarray(0, Math.max(0, most - passed));
    passed += part.length;
    if (part.length > 0) to.write(part);
    if (passed >= most) from.pause();
    else if (rate !== undefined) {
      from.pause();
      setTimeout(() => from.resume(), (1000 * chunk.length) / rate);
    }
  });
  from.on('end', () => most === Number.POSITIVE_INFINITY && to.end());
}
