import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { relay } from '../../../../src/archiver/shipper/relay.ts';
import { readCluster } from '../../../../src/archiver/wal/cluster.ts';
import { identityOf } from '../../../../src/archiver/wal/wal-file.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { eventually } from '../../../harness/eventually.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

/** A standby that relays to another one, which hangs. */
async function startRelay(abandoned?: object) {
  const root = temporaryDirectory();
  const at = (...names: string[]) => join(root, ...names);
  for (const name of ['pgdata/global', 'archive', 'queues/.archiver'])
    mkdirSync(at(name), { recursive: true });
  const controlFile = at('pgdata', 'global', 'pg_control');
  writeFileSync(controlFile, controlIn('in-archive-recovery'));
  const cluster = await readCluster(at('pgdata'));
  writeFileSync(at('archive', '.pitrtools'), `system_identifier: ${cluster.systemIdentifier}\nstandby: b\n`);
  const standbyIni = `[DEFAULT]\nmaster_public_ip: a\npgdata: ${at('pgdata')}\narchivedir: ${at('archive')}\n`;
  writeFileSync(at('cmd_standby.ini'), standbyIni);
  if (abandoned !== undefined) {
    const state = JSON.stringify({ health: 'abandoned', abandoned });
    writeFileSync(at('queues', '.archiver', 'c.json'), state);
  }
  const ini = at('cmd_archiver.ini');
  writeFileSync(ini, '');

  const end = new AbortController();
  const program = { program: '/bin/true', args: [] };
  const standby = {
    name: 'c',
    host: 'c',
    ssh: program,
    ssh_timeout: 30,
    r_archivedir: '/a',
    rsync_flags: [],
  };
  const silent = () => undefined;
  let connections = 0;
  const deps = {
    settings: {
      pgdata: at('pgdata'),
      l_archivedir: at('queues'),
      relay: true,
      standby_ini: at('cmd_standby.ini'),
      includepath: [],
      ssh: program,
      rsync_bin: program,
      standbys: [standby],
    },
    layout: layoutOf(at('queues')),
    iniFile: ini,
    hostName: 'b',
    pid: process.pid,
    nonce: () => 'n',
    now: Date.now,
    moment: () => ({ boot: 'b', ms: 1 }),
    monotonicMs: () => performance.now(),
    pause: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)),
    signal: end.signal,
    run: runCommand,
    log: { debug: silent, notice: silent, warning: silent, error: silent },
    withRemoteShell: () => {
      connections += 1;
      return new Promise(() => undefined);
    },
  } as unknown as ArchiverDeps;
  const ended = relay(deps, cluster, { path: ini, identity: await identityOf(ini) });
  onTestFinished(async () => {
    end.abort();
    await ended.catch(silent);
  });
  const promote = () => {
    writeFileSync(controlFile, controlIn('in-production'));
  };
  return { ended, promote, connections: () => connections };
}

test('at a promotion, the others do not wait for a standby that hangs', { timeout: 60_000 }, async () => {
  const { ended, promote, connections } = await startRelay();
  await eventually(() => connections() > 0, { what: 'the connection' });
  promote();
  expect(await ended).toBe('promoted');
});

test('an abandoned standby is asked for its request to be resumed', { timeout: 60_000 }, async () => {
  const { connections } = await startRelay({ since: '2026-01-01', by: 'operator' });
  await eventually(() => connections() > 0, { what: 'the connection' });
});
