import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { TreeComparison } from '../../../../core/restore/trees/trees.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { archiveTree, requiredTar, shell, treeConfiguration } from '../../files/trees.ts';

/*
 * Backups are often made by root, and restored by whoever is there on the worst day.
 */

const needsRoot = process.getuid?.() !== 0 && 'needs root';
const NOBODY = 65534;

interface Outcome {
  readonly path: string;
  readonly comparison: TreeComparison;
  readonly whole: boolean;
  readonly lines: readonly string[];
}

async function restoredAsNobody(context: TestContext, contents: string, program: string): Promise<Outcome> {
  const source = await temporaryDirectory(context);
  const target = await temporaryDirectory(context);
  shell(source, contents);
  const { archive, report } = await archiveTree(treeConfiguration(source), { tar: await requiredTar() });
  await mkdir(join(target, 'mine'));
  await chown(join(target, 'mine'), NOBODY, NOBODY);
  await chmod(target, 0o755);
  await writeFile(join(target, 'archive.tar'), archive);
  await writeFile(join(target, 'report.json'), JSON.stringify(report));
  const path = join(target, 'mine/media');
  const script = join(import.meta.dirname, 'restoringUser.ts');
  const printed = execFileSync(
    process.execPath,
    [script, join(target, 'archive.tar'), join(target, 'report.json'), path, program],
    { uid: NOBODY, gid: NOBODY, encoding: 'utf8', env: { PATH: process.env.PATH, HOME: target } },
  );
  const outcome = JSON.parse(printed.split('\n')[0] ?? '') as Omit<Outcome, 'path'>;
  return { ...outcome, path };
}

for (const program of ['GNU tar', 'node-tar'])
  describe(`a restore of root's files by another user, with ${program}`, { skip: needsRoot }, () => {
    test('[10] brings back what their owner may not read, and says that nobody compared it', async (context) => {
      const { path, comparison, whole, lines } = await restoredAsNobody(
        context,
        `echo x > shadow; chmod 0 shadow; mkdir -p shut/in listed entered; echo y > shut/in/file; chmod 0 shut
         echo z > listed/file; chmod 400 listed; echo z > entered/file; chmod 100 entered; echo open > plain; chmod 555 .`,
        program,
      );
      assert.deepEqual(comparison.differences, []);
      assert.equal(comparison.notCompared.count, 4);
      assert.deepEqual(comparison.notCompared.paths.toSorted(), ['listed/file', 'shadow', 'shut/in', 'shut/in/file']);
      assert.equal(whole, false);
      assert.match(lines.join('\n'), /but for 4 entries that could not be compared/);
      assert.match(lines.join('\n'), /NOT compared: 4 entries, because their modes.* shut/);
      assert.equal(shell(path, 'cat shadow shut/in/file listed/file entered/file plain'), 'x\ny\nz\nz\nopen\n');
      assert.equal(
        shell(path, "stat -c '%a %n' . shadow shut listed entered"),
        '555 .\n0 shadow\n0 shut\n400 listed\n100 entered\n',
      );
    });

    test('[28] lets no program run as that user for everybody, and says so', async (context) => {
      const { path, comparison, lines, whole } = await restoredAsNobody(
        context,
        `for each in suid both mine; do echo > $each; done; chmod 4755 suid; chmod 6755 both; mkdir group; chmod 2755 group
         chown ${NOBODY}:${NOBODY} mine; chmod 6755 mine; ln suid suid-too`,
        program,
      );
      assert.equal(shell(path, "stat -c '%a %n' suid both mine group"), '755 suid\n755 both\n6755 mine\n2755 group\n');
      assert.deepEqual(comparison.differences, []);
      assert.equal(comparison.lost[0]?.count, 2);
      assert.match(lines.join('\n'), /NOT restored: 2 attributes, because it would run as who restored it/);
      assert.equal(whole, false);
    });
  });
