import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from './directories.ts';
import { testS3 } from './servers.ts';

/** Stands before the shared S3 server: notes every request as it came over the wire, and does harm where asked to. */

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** Empty where bodies are not kept, once the request has been answered. */
  body: Buffer;
  /** PutObject, UploadPart, ... as the SDK names it. */
  readonly operation: string;
}

export type Fault =
  /** Answers in the server's place, with more XML in the error where given; the request does not reach it. */
  | { kind: 'answer'; status: number; code?: string; detail?: string; headers?: Readonly<Record<string, string>> }
  /** Answers with a web page in the server's place, or with the body given. */
  | { kind: 'page'; status: number; body?: string }
  /** Takes effect on the server, then the connection breaks without an answer. */
  | { kind: 'loseAnswer' }
  /** Takes effect on the server, whose answer is replaced. */
  | { kind: 'replaceAnswer'; status: number; code: string }
  /** The connection breaks before the request reaches the server. */
  | { kind: 'reset' }
  /** Nothing ever comes back. */
  | { kind: 'hang' }
  /** The request's body reaches the server with one bit changed. */
  | { kind: 'flipRequest' }
  /** The request reaches the server as if it had been signed so many milliseconds earlier or later. */
  | { kind: 'redate'; milliseconds: number }
  /** The answer's body breaks off, or stops flowing, after so many bytes. */
  | { kind: 'cutBody' | 'stallBody'; after: number }
  /** The answer's body comes with one bit changed, the header whole. */
  | { kind: 'flipBody' }
  /** The answer comes so many milliseconds late. */
  | { kind: 'delay'; milliseconds: number };

export interface S3Proxy {
  readonly endpoint: string;
  readonly requests: WireRequest[];
  /** Asked for each request once it has come in whole; undefined lets it pass. */
  fault: (request: WireRequest) => Fault | undefined | Promise<Fault | undefined>;
  /** Asked for each request before its body: after how many bytes of it the connection is reset. */
  breakOff: (head: Omit<WireRequest, 'body'>) => number | undefined;
  of(operation: string): WireRequest[];
  /** Every byte that came in since the beginning, one number for each connection. */
  received(): number[];
  /** Bytes of bodies that came in by operation, those of requests that broke off included. */
  readonly bodyBytes: Map<string, number>;
}

export interface S3ProxyOptions {
  /** Unset: true. Large uploads fill the memory otherwise. */
  readonly keepBodies?: boolean;
}

export async function startS3Proxy(scope: Scope, { keepBodies = true }: S3ProxyOptions = {}): Promise<S3Proxy> {
  const target = new URL(testS3().endpoint);
  const connections: Socket[] = [];
  const proxy: S3Proxy = {
    endpoint: '',
    requests: [],
    fault: () => undefined,
    breakOff: () => undefined,
    of: (operation) => proxy.requests.filter((request) => request.operation === operation),
    received: () => connections.map(({ bytesRead }) => bytesRead),
    bodyBytes: new Map(),
  };
  const server = createServer((incoming, outgoing) => {
    // A client that gives up closes its connection in the middle; that is what some tests are about.
    handle(proxy, target, incoming, outgoing, keepBodies).catch(() => incoming.socket.destroy());
  });
  server.on('connection', (socket) => connections.push(socket));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  scope.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(proxy, { endpoint: `http://127.0.0.1:${port}` });
}

/** The first so many requests of an operation get the fault. */
export function firstOf(operation: string, count: number, fault: Fault): S3Proxy['fault'] {
  let left = count;
  return (request) => {
    if (request.operation !== operation || left === 0) return undefined;
    left -= 1;
    return fault;
  };
}

async function handle(
  proxy: S3Proxy,
  target: URL,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  keepBodies: boolean,
): Promise<void> {
  const head = headOf(incoming);
  const body = await readBody(proxy, head, incoming);
  if (body === undefined) return;
  const request = { ...head, body };
  proxy.requests.push(request);
  const fault = await proxy.fault(request);
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') incoming.socket.resetAndDestroy();
  else if (fault?.kind === 'page')
    outgoing.writeHead(fault.status).end(fault.body ?? '<html><body>Welcome</body></html>');
  else if (fault?.kind === 'answer') answerError(outgoing, fault);
  else await forward(target, request, incoming, outgoing, fault);
  if (!keepBodies) request.body = Buffer.alloc(0);
}

function headOf(incoming: IncomingMessage): Omit<WireRequest, 'body'> {
  const url = new URL(incoming.url ?? '/', 'http://any');
  return {
    method: incoming.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    operation: operationOf(incoming.method ?? '', url.searchParams),
  };
}

/** Undefined where the connection was reset in the middle of it. */
async function readBody(
  proxy: S3Proxy,
  head: Omit<WireRequest, 'body'>,
  incoming: IncomingMessage,
): Promise<Buffer | undefined> {
  const breakAt = proxy.breakOff(head);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    proxy.bodyBytes.set(head.operation, (proxy.bodyBytes.get(head.operation) ?? 0) + chunk.length);
    if (breakAt === undefined || bytes < breakAt) continue;
    incoming.socket.resetAndDestroy();
    return undefined;
  }
  return Buffer.concat(chunks);
}

async function forward(
  target: URL,
  request: WireRequest,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: Fault | undefined,
): Promise<void> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const { hostname, port } = target;
    // The host header stays the proxy's: it is part of what was signed.
    httpRequest(
      { hostname, port, method: request.method, path: incoming.url, headers: headersFor(request, fault) },
      resolve,
    )
      .on('error', reject)
      .end(fault?.kind === 'flipRequest' ? flipped(request.body) : request.body);
  });
  if (fault === undefined || fault.kind === 'flipRequest' || fault.kind === 'redate') {
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
    return pipeline(answer, outgoing);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (fault.kind === 'loseAnswer') {
    incoming.socket.destroy();
  } else if (fault.kind === 'replaceAnswer') {
    answerError(outgoing, fault);
  } else if (fault.kind === 'delay') {
    await delay(fault.milliseconds);
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers).end(body);
  } else if (fault.kind === 'flipBody') {
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers).end(flipped(body));
  } else if (fault.kind === 'cutBody' || fault.kind === 'stallBody') {
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
    outgoing.write(body.subarray(0, fault.after));
    await delay(100);
    if (fault.kind === 'cutBody') incoming.socket.destroy();
  }
}

function answerError(outgoing: ServerResponse, answer: Omit<Extract<Fault, { kind: 'answer' }>, 'kind'>): void {
  const { status, code, detail = '', headers } = answer;
  const body =
    code === undefined ? '' : `<Error><Code>${code}</Code><Message>said the proxy</Message>${detail}</Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml', ...headers }).end(body);
}

function flipped(body: Buffer): Buffer {
  const changed = Buffer.from(body);
  const middle = changed.length >> 1;
  if (changed.length > 0) changed.writeUInt8((changed[middle] ?? 0) ^ 1, middle);
  return changed;
}

function headersFor({ headers }: WireRequest, fault: Fault | undefined): IncomingMessage['headers'] {
  const signed = headers['x-amz-date'];
  if (fault?.kind !== 'redate' || typeof signed !== 'string') return headers;
  const at = Date.parse(signed.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')) + fault.milliseconds;
  return { ...headers, 'x-amz-date': new Date(at).toISOString().replaceAll(/[-:]|\.\d+/g, '') };
}

function operationOf(method: string, query: URLSearchParams): string {
  const named = query.get('x-id');
  if (named !== null) return named;
  if (query.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
  if (query.has('uploadId')) return method === 'POST' ? 'CompleteMultipartUpload' : 'AbortMultipartUpload';
  if (query.has('list-type')) return 'ListObjectsV2';
  return method === 'HEAD' ? 'HeadObject' : method;
}
