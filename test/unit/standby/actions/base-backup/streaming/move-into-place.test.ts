import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import type { BackupFacts } from '../../../../../../src/standby/actions/base-backup/facts.ts';
import { moveIntoPlace } from '../../../../../../src/standby/actions/base-backup/streaming/move-into-place.ts';
import { bytesToBeFreed } from '../../../../../../src/standby/actions/base-backup/streaming/old-copy.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';
import { runCommand } from '../../../../../../src/system/command.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { backupFacts, localPlace } from '../facts-kit.ts';

/** A pgdata in which pg_basebackup has received a cluster. */
function receivedCluster(ownConfiguration: readonly string[] = []) {
  const pgdata = temporaryDirectory();
  const receiving = join(pgdata, '.pitrtools-receiving');
  mkdirSync(join(receiving, 'global'), { recursive: true });
  writeFileSync(join(receiving, 'global', 'pg_control'), '');
  const warnings: string[] = [];
  const log = {
    warning: (line: string) => warnings.push(line),
    notice: () => undefined,
    debug: () => undefined,
  };
  const deps = { log, run: runCommand, signal: new AbortController().signal } as unknown as StandbyDeps;
  const facts = backupFacts({ place: localPlace({ pgdata, ownConfiguration }) });
  const move = (changes: Partial<BackupFacts> = {}) =>
    moveIntoPlace({ deps, facts: { ...facts, ...changes } } as unknown as BackupContext, Buffer.alloc(0));
  return { pgdata, receiving, warnings, deps, facts, move };
}

describe("the primary's configuration, of which there is none here,", () => {
  const ident = (source: string) => ({ missingConfiguration: [{ name: 'pg_ident.conf', source } as const] });

  test('may be in a directory that is moved', async () => {
    const { pgdata, receiving, warnings, move } = receivedCluster();
    mkdirSync(join(receiving, 'conf'));
    writeFileSync(join(receiving, 'conf', 'ident'), 'theirs');
    await move(ident('/primary/main/conf/ident'));
    expect(readFileSync(join(pgdata, 'pg_ident.conf'), 'utf8')).toBe('theirs');
    expect(existsSync(join(pgdata, 'conf', 'ident'))).toBe(true);
    expect(warnings).toEqual([]);
  });

  test.each(['/primary/main/pg_ident.conf', '/etc/pg_ident.conf'])(
    'may not have come with the copy: %s',
    async (source) => {
      const { pgdata, warnings, move } = receivedCluster();
      await move(ident(source));
      expect(warnings).toEqual([
        `there is no pg_ident.conf here, and the primary's "${source}" did not come with the copy`,
      ]);
      expect(existsSync(join(pgdata, 'pg_ident.conf'))).toBe(false);
    },
  );
});

test('names need not be valid text, and own configuration may have any name', async () => {
  const { pgdata, receiving, deps, facts, move } = receivedCluster(['köln.d']);
  const odd = (directory: string, name: string) => Buffer.from(`${directory}/`.concat(name), 'latin1');
  mkdirSync(join(pgdata, 'köln.d'));
  writeFileSync(join(pgdata, 'köln.d', 'own.conf'), '');
  for (const [directory, name] of [
    [pgdata, 'old \xe9'],
    [receiving, 'new \xe9'],
  ] as const) {
    mkdirSync(odd(directory, name));
    writeFileSync(odd(directory, `${name}/\xe8`), '');
  }
  expect(await bytesToBeFreed(deps, facts.place, facts.primary.capabilities)).toHaveLength(1);
  await move();
  expect(readdirSync(pgdata, { encoding: 'latin1' })).toContain('new \xe9');
  expect(readdirSync(pgdata, { encoding: 'latin1' })).not.toContain('old \xe9');
  expect(existsSync(odd(pgdata, 'new \xe9/\xe8'))).toBe(true);
  expect(existsSync(join(pgdata, 'köln.d', 'own.conf'))).toBe(true);
});
