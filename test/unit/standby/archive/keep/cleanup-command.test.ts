import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { capabilitiesOf } from '../../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../../src/postgres/version.ts';
import { foreignCleanup, whyForeign } from '../../../../../src/standby/archive/keep/cleanup-command.ts';
import { askSlot } from '../../../../../src/standby/archive/keep/slot.ts';

const ours =
  '"/opt/bin/cmd_standby" --restartpoint "/etc/cmd_standby.ini" "%r" "pg_archivecleanup" "/archive"';

test.each([ours, "/site/wrapper '--restartpoint' /etc/i.ini %r"])('advances the slot: %s', (command) => {
  expect(whyForeign(command)).toBeUndefined();
});

test.each(['pg_archivecleanup /archive %r', 'cp --no-restartpoint x', '/usr/bin/my--restartpoint %r'])(
  'does not: %s',
  (command) => {
    expect(whyForeign(command)).toBe(
      `archive_cleanup_command is "${command}", which does not advance a replication slot`,
    );
  },
);

test('the one in force is what the server reports, and up to 11 what its recovery.conf says', async () => {
  const pgdata = await mkdtemp(join(tmpdir(), 'keep-'));
  onTestFinished(() => rm(pgdata, { recursive: true }));
  const server = (version: string) => ({ pgdata, capabilities: capabilitiesOf(parseVersion(version)) });
  const facts = (cleanup: string | null) =>
    askSlot(() => Promise.resolve([{ redo: '0/5000028', cleanup }]), server('15').capabilities);
  expect(await foreignCleanup(server('15'), await facts(ours))).toBeUndefined();
  expect(await foreignCleanup(server('15'), await facts(''))).toContain('is not set');
  expect(await foreignCleanup(server('11'), await facts(null))).toContain('is not set');
  await writeFile(join(pgdata, 'recovery.conf'), `archive_cleanup_command = '${ours}'\n`);
  expect(await foreignCleanup(server('11'), await facts(null))).toBeUndefined();
  expect(await foreignCleanup(server('12'), await facts('pg_archivecleanup /a %r'))).toContain(
    'cmd_standby -A stop and cmd_standby -S set the right one',
  );
});
