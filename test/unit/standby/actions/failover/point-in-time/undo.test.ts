import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recoverySteps } from '../../../../../../src/standby/actions/failover/point-in-time/steps.ts';
import { systemClock } from '../../../../../../src/system/clock.ts';
import { controlIn } from '../../../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { dataDirectory } from '../../../standby-facts.ts';

const { undo } = recoverySteps['start-server'];

test.each([
  ['in-production', 'done'],
  ['shut-down-in-recovery', 'not begun'],
] as const)('a recovery whose server has ended with the control file %s is %s', async (state, opening) => {
  const pgdata = temporaryDirectory();
  mkdirSync(join(pgdata, 'global'));
  writeFileSync(join(pgdata, 'global', 'pg_control'), controlIn(state));
  const deps = { settings: { pgdata }, ...systemClock() };
  const { capabilities } = dataDirectory('15', { pgdata });
  const run = { server: { deps, pgdata, capabilities }, opening: 'begun' } as unknown as Parameters<
    typeof undo
  >[0];
  await undo(run);
  expect(run.opening).toBe(opening);
});
