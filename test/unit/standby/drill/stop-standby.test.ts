import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PitrError } from '../../../../src/errors.ts';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { stopStandby } from '../../../../src/standby/drill/stop-standby.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

test('a standby that was promoted while the drill waited for the lock is not stopped', async () => {
  const run = temporaryDirectory();
  const deps = { settings: { archivedir: temporaryDirectory() }, run: runCommand } as unknown as StandbyDeps;
  const refused = new PitrError('it is no standby any more');
  const server = { capabilities: capabilitiesOf(parseVersion('15')) } as Parameters<typeof stopStandby>[1];
  await expect(stopStandby(deps, server, { run }, () => Promise.reject(refused))).rejects.toBe(refused);
  // By a mark there the next drill would start it.
  expect(readdirSync(run)).toEqual([]);
});
