import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';

const PROBE = join(import.meta.dirname, 'memoryProbe.ts');

async function peakMemory(mebibytes: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROBE, String(mebibytes)]);
  return Number(stdout);
}

it('sealing and opening need the same memory for eight times the bytes', async () => {
  const small = await peakMemory(64);
  const large = await peakMemory(512);
  // The difference in bytes is 448 MiB; what garbage a collection leaves varies by some tens.
  assert.ok(large - small < 100, `64 MiB peaked at ${small} MiB, 512 MiB at ${large} MiB`);
});
