import { createCipheriv, createHash } from 'node:crypto';
import { access, link, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { DemoLayout } from './layout.ts';

const PICTURES = 48;

/** Makes the shop's media, logs and configuration, once: some 4 MB of files of the kinds an application has. */
export async function makeShopFiles(layout: DemoLayout): Promise<void> {
  const shop = dirname(layout.media);
  if (await exists(shop)) return;
  const unfinished = `${shop}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await makeMedia(join(unfinished, 'media'));
  await makeLogs(join(unfinished, 'logs'));
  await makeConfig(join(unfinished, 'config'));
  await rename(unfinished, shop);
}

async function makeMedia(directory: string): Promise<void> {
  await mkdir(join(directory, 'products'), { recursive: true });
  await mkdir(join(directory, 'empty folder'));
  for (let number = 1; number <= PICTURES; number += 1) {
    const bytes = 20_000 + ((number * 7919) % 120_000);
    await writeFile(join(directory, 'products', `${number}.png`), picture(number, bytes));
  }
  await writeFile(join(directory, 'Überseekoffer (grün).png'), picture(0, 31_337));
  await link(join(directory, 'products', '1.png'), join(directory, 'title.png'));
  await symlink('products/2.png', join(directory, 'newest.png'));
}

async function makeLogs(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const lines = Array.from({ length: 5_000 }, (_, line) => {
    const time = new Date(Date.UTC(2026, 0, 1) + line * 17_000).toISOString();
    return `${time} INFO request path=/order/${line % 311} status=${line % 50 === 0 ? 500 : 200}\n`;
  });
  await writeFile(join(directory, 'shop.log'), lines.join(''));
  await writeFile(join(directory, 'shop.log.1.gz'), gzipSync(lines.toReversed().join('')));
}

async function makeConfig(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'settings.toml'), '[shop]\ncurrency = "ISK"\nworkers = 4\n');
  await writeFile(join(directory, '.env'), 'SECRET_KEY=a-secret-that-leaves-this-host-only-sealed\n', { mode: 0o600 });
}

/** Looks like a picture to a compressor: a PNG's first bytes, then noise; the same in every run. */
function picture(number: number, bytes: number): Buffer {
  const key = createHash('sha256').update(`picture ${number}`).digest();
  const noise = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), noise]);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
