import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { configurationSchema } from '../../core/config/schema.ts';

const composeFile = z.object({
  services: z.record(
    z.string(),
    z
      .object({
        image: z.string().optional(),
        build: z.string().optional(),
        depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
        ports: z.array(z.string()).optional(),
        environment: z.record(z.string(), z.string()).optional(),
        volumes: z.array(z.string()).optional(),
      })
      .refine(({ image, build }) => (image === undefined) !== (build === undefined), 'an image or a build'),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

async function readYaml(path: string): Promise<unknown> {
  return parse(await readFile(new URL(`../../${path}`, import.meta.url), 'utf8'), { merge: true });
}

test('the compose file is whole: images pinned, dependencies and volumes there, ports on the loopback interface', async () => {
  const { services, volumes } = composeFile.parse(await readYaml('docker-compose.temporal.yml'));
  for (const service of Object.values(services)) {
    if (service.image !== undefined) assert.match(service.image, /^[a-z0-9./-]+:v?\d/);
    for (const needed of Object.keys(service.depends_on ?? {})) assert.ok(needed in services, needed);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
    for (const mount of service.volumes ?? []) {
      const [from = ''] = mount.split(':');
      assert.ok(from.startsWith('./') || from in volumes, mount);
    }
  }
});

test("the worker's starting configuration is valid and asks only for variables that the compose file sets", async () => {
  const { services } = composeFile.parse(await readYaml('docker-compose.temporal.yml'));
  const text = await readFile(new URL('../../deploy/holdfast.yaml', import.meta.url), 'utf8');
  configurationSchema.parse(parse(text));
  const asked = [...text.matchAll(/\{ env: (\w+) \}/g)].map((match) => match[1] ?? '');
  assert.ok(asked.length >= 4);
  for (const name of asked) assert.ok(name in (services['worker']?.environment ?? {}), name);
});
