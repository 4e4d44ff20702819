import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { before, describe, it, after } from 'node:test';
import { isHoldfastError } from '../../../core/errors.ts';
import { kmsKey } from '../../../core/seal/keys.ts';
import { newAesKey, openBytes, sealBytes } from './sealing.ts';

/**
 * What of AWS KMS can be had without the cloud: its three calls over HTTP as the AWS SDK really sends them, wrapping with
 * AES-GCM and refusing a changed encryption context as the service does.
 */
const ARN = 'arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555';
const OTHER_ARN = ARN.replace('1111', '9999');

interface KmsRequest {
  readonly KeyId: string;
  readonly NumberOfBytes?: number;
  readonly Plaintext?: string;
  readonly CiphertextBlob?: string;
  readonly EncryptionContext?: Record<string, string>;
}

const master = randomBytes(32);

function wrap(plain: Buffer, { KeyId, EncryptionContext }: KmsRequest): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', master, iv).setAAD(contextOf(KeyId, EncryptionContext));
  const wrapped = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), wrapped]).toString('base64');
}

function unwrap({ KeyId, CiphertextBlob, EncryptionContext }: KmsRequest): string {
  const blob = Buffer.from(CiphertextBlob ?? '', 'base64');
  const decipher = createDecipheriv('aes-256-gcm', master, blob.subarray(0, 12))
    .setAAD(contextOf(KeyId, EncryptionContext))
    .setAuthTag(blob.subarray(12, 28));
  return Buffer.concat([decipher.update(blob.subarray(28)), decipher.final()]).toString('base64');
}

function contextOf(keyId: string, context: Record<string, string> = {}): Buffer {
  return Buffer.from(
    JSON.stringify([
      keyId,
      Object.entries(context)
        .map(([name, value]) => `${name}=${value}`)
        .toSorted(),
    ]),
  );
}

const calls: string[] = [];

function answer(operation: string, request: KmsRequest): object {
  calls.push(`${operation} ${request.EncryptionContext?.['holdfast:part']}`);
  if (operation === 'Decrypt') return { KeyId: request.KeyId, Plaintext: unwrap(request) };
  if (operation === 'Encrypt') {
    return { KeyId: request.KeyId, CiphertextBlob: wrap(Buffer.from(request.Plaintext ?? '', 'base64'), request) };
  }
  const key = randomBytes(request.NumberOfBytes ?? 32);
  return { KeyId: request.KeyId, Plaintext: key.toString('base64'), CiphertextBlob: wrap(key, request) };
}

const server = createServer((request, response) => {
  const body: Buffer[] = [];
  request.on('data', (chunk: Buffer) => body.push(chunk));
  request.on('end', () => {
    const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
    const parsed = JSON.parse(Buffer.concat(body).toString('utf8')) as KmsRequest;
    const known = parsed.KeyId === ARN;
    response.writeHead(known ? 200 : 400, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(
      JSON.stringify(known ? answer(operation, parsed) : { __type: 'NotFoundException', message: 'no key' }),
    );
  });
});

describe('KMS keys', () => {
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    process.env.AWS_ENDPOINT_URL_KMS = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    process.env.AWS_ACCESS_KEY_ID = 'test';
    process.env.AWS_SECRET_ACCESS_KEY = 'test';
  });
  after(() => server.close());

  it('seal and open, the encryption context being part of what KMS checks', async () => {
    const original = randomBytes(10_000);
    const ciphertext = await sealBytes(original, { recipients: [kmsKey(ARN)] });
    assert.ok((await openBytes(ciphertext, [kmsKey(ARN)])).equals(original));
    assert.deepEqual(calls.splice(0), ['GenerateDataKey database', 'Decrypt database']);
  });

  it('seal beside other recipients, of which each alone opens', async () => {
    const aes = newAesKey();
    const original = randomBytes(10_000);
    const ciphertext = await sealBytes(original, { recipients: [aes, kmsKey(ARN)] });
    assert.ok((await openBytes(ciphertext, [aes])).equals(original));
    assert.ok((await openBytes(ciphertext, [kmsKey(ARN)])).equals(original));
    assert.deepEqual(calls.splice(0), ['Encrypt database', 'Decrypt database']);
  });

  it('that refuse are named, with what KMS said', async () => {
    await assert.rejects(sealBytes(randomBytes(10), { recipients: [kmsKey(OTHER_ARN)] }), (error: unknown) => {
      assert.ok(isHoldfastError(error, 'KeyMissing'), String(error));
      assert.match(error.message, /9999.*no key/s);
      return true;
    });
  });
});
