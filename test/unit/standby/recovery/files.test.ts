import { lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { writeRecoverySettings } from '../../../../src/standby/recovery/files.ts';
import type { RecoverySettings } from '../../../../src/standby/recovery/settings.ts';
import type { Server } from '../../../../src/standby/server/server.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function serverOn(version: string, pgdata: string, recoveryConf = join(pgdata, 'recovery.conf')): Server {
  const deps = { settings: { pgdata, recovery_conf: recoveryConf }, log: { notice: () => undefined } };
  return { deps, pgdata, capabilities: capabilitiesOf(parseVersion(version)) } as unknown as Server;
}

const standby: RecoverySettings = {
  recoveryConf: new Map([['standby_mode', 'on']]),
  parameters: new Map(),
  signal: undefined,
};

describe('the recovery.conf of PostgreSQL 11', () => {
  test.each(['by its real path', 'by a link to its directory'])(
    'is no link to itself, named %s',
    async (how) => {
      const root = temporaryDirectory();
      const [real, link] = [join(root, 'pg11'), join(root, 'pg')];
      mkdirSync(real);
      symlinkSync(real, link);
      const [pgdata, named] = how.includes('real') ? [link, real] : [real, link];
      const server = serverOn('11', pgdata, join(named, 'recovery.conf'));
      for (let time = 0; time < 2; time++) await writeRecoverySettings(server, 'standby', standby);
      expect(lstatSync(join(real, 'recovery.conf')).isFile()).toBe(true);
      expect(readFileSync(join(real, 'recovery.conf'), 'utf8')).toContain("standby_mode = 'on'");
    },
  );

  test('is a link to the file that the INI file names elsewhere', async () => {
    const root = temporaryDirectory();
    const pgdata = join(root, 'pg11');
    mkdirSync(pgdata);
    writeFileSync(join(pgdata, 'recovery.conf'), "standby_mode = 'off'\n");
    const elsewhere = join(root, 'mine.conf');
    await writeRecoverySettings(serverOn('11', pgdata, elsewhere), 'standby', standby);
    expect(readlinkSync(join(pgdata, 'recovery.conf'))).toBe(elsewhere);
    expect(readFileSync(elsewhere, 'utf8')).toContain("standby_mode = 'on'");
  });
});

test('a signal file goes only after the other one is there', async () => {
  const pgdata = temporaryDirectory();
  writeFileSync(join(pgdata, 'standby.signal'), '');
  // Nothing can be written under that name.
  mkdirSync(join(pgdata, 'recovery.signal', 'x'), { recursive: true });
  const settings: RecoverySettings = { ...standby, recoveryConf: new Map(), signal: 'recovery.signal' };
  await expect(writeRecoverySettings(serverOn('15', pgdata), 'recovery', settings)).rejects.toThrow();
  expect(lstatSync(join(pgdata, 'standby.signal')).isFile()).toBe(true);
});
