import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import {
  noteFollowed,
  noteHistory,
  notePromotion,
  readHistory,
} from '../../../../src/standby/host/history.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { textLog } from '../../../../src/system/log.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function stage() {
  const archivedir = temporaryDirectory();
  writeFileSync(join(archivedir, '.pitrtools'), '');
  const said: string[] = [];
  const deps = {
    settings: { archivedir },
    log: textLog({ debug: false }, (line) => said.push(line)),
    now: () => Date.UTC(2026, 10, 28),
    hostName: 'beta',
    run: runCommand,
  } as unknown as StandbyDeps;
  return { deps, said, kinds: async () => (await readHistory(deps)).entries.map(({ kind }) => kind) };
}

test('what was done is kept with who and when, newest last', async () => {
  const { deps, kinds } = stage();
  await noteHistory(deps, { kind: 'base-backup', label: 'l', startLsn: '0/2000028' });
  await noteFollowed(deps, { timeline: 2, lsn: 0x3000000n }, 'alpha', true);
  expect(await kinds()).toEqual(['base-backup', 'follows']);
  const { entries } = await readHistory(deps);
  expect(entries[1]).toMatchObject({
    at: '2026-11-28T00:00:00.000Z',
    host: 'beta',
    lsn: '0/3000000',
    asked: true,
  });
});

test('a run that finishes an earlier one notes no second promotion to the same timeline', async () => {
  const { deps, kinds } = stage();
  await notePromotion(deps, 'failover', 'alpha', 2);
  await notePromotion(deps, 'failover', 'alpha', 2);
  expect(await kinds()).toEqual(['promoted']);
  await notePromotion(deps, 'switchover', 'alpha', 4);
  await notePromotion(deps, 'failover', 'alpha', undefined);
  expect(await kinds()).toEqual(['promoted', 'promoted', 'promoted']);
});

test('the same timeline is noted again after a new base backup', async () => {
  const { deps, kinds } = stage();
  await notePromotion(deps, 'recovery', 'alpha', 2);
  await noteHistory(deps, { kind: 'base-backup', label: 'l', startLsn: '0/2000028' });
  await notePromotion(deps, 'recovery', 'alpha', 2);
  expect(await kinds()).toEqual(['promoted', 'base-backup', 'promoted']);
});

test('runs at the same time lose no entry', async () => {
  const { deps, kinds } = stage();
  await Promise.all(Array.from({ length: 5 }, () => noteHistory(deps, { kind: 'standby-started' })));
  expect(await kinds()).toHaveLength(5);
});

test('an archivedir that cannot be written fails nothing, and is said', async () => {
  const { deps, said } = stage();
  rmSync(join(deps.settings.archivedir, '.pitrtools'));
  await noteHistory(deps, { kind: 'standby-started' });
  expect(said.join('')).toMatch(/WARNING: cannot write .*is its file system mounted/);
  expect(readdirSync(deps.settings.archivedir)).toEqual([]);
  const inTheWay = stage();
  mkdirSync(join(inTheWay.deps.settings.archivedir, '.cmd_standby.history'));
  await noteHistory(inTheWay.deps, { kind: 'standby-started' });
  expect(inTheWay.said.join('')).toContain('WARNING: cannot write');
});
