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
  const small = await peakMemory(128);
  const large = await peakMemory(1024);
  // 896 MiB more pass through; how much garbage waits for its collection on a busy machine varies by a hundred or two.
  assert.ok(large - small < 300, `128 MiB peaked at ${small} MiB, 1024 MiB at ${large} MiB`);
});
