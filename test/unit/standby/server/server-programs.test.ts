import { describe, expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { requireVersion } from '../../../../src/standby/server/server-programs.ts';
import { runCommand } from '../../../../src/system/command.ts';

const deps = { run: runCommand } as StandbyDeps;

function shell(script: string) {
  return { program: 'sh', args: ['-c', script, 'sh'] };
}

describe("the version of one of PostgreSQL's programs", () => {
  test('counts although a wrapper around the program exits with another status', async () => {
    const wrapper = shell('echo "pg_ctl (PostgreSQL) 15.18"; exit 3');
    expect(await requireVersion(deps, wrapper, 'a way out')).toMatchObject({ major: '15' });
  });

  test('is refused with the words of a program that prints none', async () => {
    const broken = shell('echo "no libpq" >&2; exit 127');
    await expect(requireVersion(deps, broken, 'a way out')).rejects.toMatchObject({
      message: 'cannot determine the version of "sh"',
      detail: expect.stringContaining('no libpq') as unknown,
      hint: 'a way out',
    });
  });
});
