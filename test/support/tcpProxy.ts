import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Scope } from './directories.ts';

/** Stands before a server and can be away, as a server is that was stopped. */
export interface TcpProxy {
  readonly port: number;
  /** Ends every connection and refuses new ones. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
}

export async function startTcpProxy(
  scope: Scope,
  target: { readonly host: string; readonly port: number },
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const comeBack = async () => {
    const listening = createServer((incoming) => {
      const outgoing = connect(target.port, target.host);
      keep(incoming);
      keep(outgoing);
      incoming.pipe(outgoing).pipe(incoming);
      incoming.on('close', () => outgoing.destroy());
      outgoing.on('close', () => incoming.destroy());
    });
    server = listening;
    await new Promise<void>((resolve) => {
      listening.listen(port, '127.0.0.1', resolve);
    });
    port = (listening.address() as AddressInfo).port;
  };
  const goAway = async () => {
    const listening = server;
    server = undefined;
    const closed = new Promise((resolve) => {
      if (listening) listening.close(resolve);
      else resolve(undefined);
    });
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await comeBack();
  scope.after(goAway);
  return { port, goAway, comeBack };
}
