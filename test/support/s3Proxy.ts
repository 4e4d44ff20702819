import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
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
  readonly body: Buffer;
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
  /** The answer's body breaks off, or stops flowing, after so many bytes. */
  | { kind: 'cutBody' | 'stallBody'; after: number }
  /** The answer's body comes with one bit changed, the header whole. */
  | { kind: 'flipBody' }
  /** The answer comes so many milliseconds late. */
  | { kind: 'delay'; milliseconds: number };

export interface S3Proxy {
  readonly endpoint: string;
  readonly requests: WireRequest[];
  /** Asked for each request; undefined lets it pass. */
  fault: (request: WireRequest) => Fault | undefined;
  of(operation: string): WireRequest[];
}

export async function startS3Proxy(scope: Scope): Promise<S3Proxy> {
  const target = new URL(testS3().endpoint);
  const proxy: S3Proxy = {
    endpoint: '',
    requests: [],
    fault: () => undefined,
    of: (operation) => proxy.requests.filter((request) => request.operation === operation),
  };
  const server = createServer((incoming, outgoing) => {
    // A client that gives up closes its connection in the middle; that is what some tests are about.
    handle(proxy, target, incoming, outgoing).catch(() => incoming.socket.destroy());
  });
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

async function handle(proxy: S3Proxy, target: URL, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? '/', 'http://any');
  const request: WireRequest = {
    method: incoming.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body: Buffer.concat(chunks),
    operation: operationOf(incoming.method ?? '', url.searchParams),
  };
  proxy.requests.push(request);
  const fault = proxy.fault(request);
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') incoming.socket.resetAndDestroy();
  else if (fault?.kind === 'page')
    outgoing.writeHead(fault.status).end(fault.body ?? '<html><body>Welcome</body></html>');
  else if (fault?.kind === 'answer') answerError(outgoing, fault.status, fault.code, fault.detail, fault.headers);
  else await forward(target, request, incoming, outgoing, fault);
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
    httpRequest({ hostname, port, method: request.method, path: incoming.url, headers: request.headers }, resolve)
      .on('error', reject)
      .end(request.body);
  });
  if (fault === undefined) {
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
    return pipeline(answer, outgoing);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (fault.kind === 'loseAnswer') {
    incoming.socket.destroy();
  } else if (fault.kind === 'replaceAnswer') {
    answerError(outgoing, fault.status, fault.code);
  } else if (fault.kind === 'delay') {
    await delay(fault.milliseconds);
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers).end(body);
  } else if (fault.kind === 'flipBody') {
    const middle = body.length >> 1;
    body.writeUInt8((body[middle] ?? 0) ^ 1, middle);
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers).end(body);
  } else if (fault.kind === 'cutBody' || fault.kind === 'stallBody') {
    outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
    outgoing.write(body.subarray(0, fault.after));
    await delay(100);
    if (fault.kind === 'cutBody') incoming.socket.destroy();
  }
}

function answerError(
  outgoing: ServerResponse,
  status: number,
  code: string | undefined,
  detail = '',
  headers: Readonly<Record<string, string>> = {},
): void {
  const body =
    code === undefined ? '' : `<Error><Code>${code}</Code><Message>said the proxy</Message>${detail}</Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml', ...headers }).end(body);
}

function operationOf(method: string, query: URLSearchParams): string {
  const named = query.get('x-id');
  if (named !== null) return named;
  if (query.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
  if (query.has('uploadId')) return method === 'POST' ? 'CompleteMultipartUpload' : 'AbortMultipartUpload';
  if (query.has('list-type')) return 'ListObjectsV2';
  return method === 'HEAD' ? 'HeadObject' : method;
}
