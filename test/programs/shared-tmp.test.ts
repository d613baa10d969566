import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';

const major = testMajors().at(-1) ?? 18;

test.override({ major });

describe('a temporary directory in which other users can write', () => {
  // The run has one user only: names, links and modes that an attacker would choose are planted by hand.
  test('loses only our own sockets, which are removed by their names', async ({ world }) => {
    const primary = await world.startPrimary({ slaves: ['standby1'] });
    const shared = join(world.directory, 'shared');
    const victim = join(world.directory, 'victim');
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    mkdirSync(victim, { mode: 0o700 });
    writeFileSync(join(victim, 'file'), 'bytes');
    symlinkSync(victim, join(shared, `pitrtools-${process.getuid?.() ?? 0}`));
    const dead = join(shared, `pitrtools-${spawnSync('true').pid}-abcdef`);
    mkdirSync(join(dead, 'deep'), { recursive: true, mode: 0o700 });
    writeFileSync(join(dead, 'deep', 'file'), 'bytes');
    symlinkSync(victim, join(dead, 'socket'));

    const made = await world.cmdArchiver(primary, ['-I'], { variables: { TMPDIR: shared } });

    expect(made).toMatchObject({ code: 0 });
    expect(existsSync(join(dead, 'deep', 'file'))).toBe(true);
    expect(readdirSync(victim)).toEqual(['file']);
    expect(readdirSync(shared)).toHaveLength(2);
  });
});
