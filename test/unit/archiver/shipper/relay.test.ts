import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { relay, sendNew } from '../../../../src/archiver/shipper/relay.ts';
import { readCluster } from '../../../../src/archiver/wal/cluster.ts';
import { identityOf } from '../../../../src/archiver/wal/wal-file.ts';
import { historyName } from '../../../../src/postgres/wal-name.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { type RemoteWork, scriptOf } from '../../../../src/system/ssh.ts';
import { eventually } from '../../../harness/eventually.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

/** A standby that relays to another one, which hangs. */
async function startRelay(abandoned?: object, isControlGone = false, archivedir = 'archive') {
  const root = temporaryDirectory();
  const at = (...names: string[]) => join(root, ...names);
  for (const name of ['pgdata/global', 'archive', 'queues/.archiver'])
    mkdirSync(at(name), { recursive: true });
  const controlFile = at('pgdata', 'global', 'pg_control');
  writeFileSync(controlFile, controlIn('in-archive-recovery'));
  const cluster = await readCluster(at('pgdata'));
  if (isControlGone) rmSync(controlFile);
  writeFileSync(at('archive', '.pitrtools'), `system_identifier: ${cluster.systemIdentifier}\nstandby: b\n`);
  const standbyIni = `[DEFAULT]\nmaster_public_ip: a\npgdata: ${at('pgdata')}\narchivedir: ${at(archivedir)}\n`;
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
  const errors: string[] = [];
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
    log: { debug: silent, notice: silent, warning: silent, error: (message: string) => errors.push(message) },
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
  /** From now on the INI file of the standby names this archive. */
  const nameArchive = (name: string) => {
    writeFileSync(at('cmd_standby.ini'), standbyIni.replace(at(archivedir), at(name)));
  };
  const stateFile = at('queues', '.archiver', 'c.json');
  return { ended, promote, nameArchive, errors, connections: () => connections, stateFile };
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

test('an error of this host is noted as the trouble of the standby that gets nothing', async () => {
  const { stateFile } = await startRelay(undefined, true);
  await eventually(() => existsSync(stateFile), { what: 'the state' });
  const state: unknown = JSON.parse(readFileSync(stateFile, 'utf8'));
  expect(state).toMatchObject({ health: 'failed' });
  expect(JSON.stringify(state)).toContain('pg_control');
});

test('without a known archive it waits, says so once, and notes it for each standby', async () => {
  const { ended, errors, stateFile, nameArchive } = await startRelay(undefined, false, 'elsewhere');
  await eventually(() => existsSync(stateFile), { what: 'the state' });
  expect(JSON.parse(readFileSync(stateFile, 'utf8'))).toMatchObject({ health: 'misconfigured' });
  nameArchive('archive');
  expect(await ended).toBe('in-recovery');
  expect(errors).toEqual([expect.stringContaining('the archivedir of this host is not known')]);
});

test('a new file of which the standby holds another one is remembered, and those behind it are sent', async () => {
  const root = temporaryDirectory();
  const at = (...names: string[]) => join(root, ...names);
  for (const name of ['pgdata', 'archive', 'queues']) mkdirSync(at(name));
  writeFileSync(at('pgdata', 'PG_VERSION'), '15\n');
  const names = [2, 3, 4].map(historyName);
  for (const { text } of names) writeFileSync(at('archive', text), '1\t0/5000060\tx\n');
  const [, other] = names;
  const answer = (script: string): string[] =>
    [...new Set(script.match(/0{7}\d\.history/g))].map((name) =>
      name === other?.text ? `conflict ${name} sha256:a sha256:b` : `stored ${name}`,
    );
  const sent: string[][] = [];
  const deps = {
    settings: { pgdata: at('pgdata') },
    signal: new AbortController().signal,
    nonce: () => 'n',
    run: (_: unknown, { input }: { input: string }) => {
      sent.push(input.split('\0').filter(Boolean));
      return Promise.resolve({ kind: 'exited', code: 0, stdout: '', stderr: '' });
    },
  } as unknown as ArchiverDeps;
  const delivery = {
    standby: { name: 'c', ssh_timeout: 1, rsync_flags: [] },
    rsync: { rsync: { program: 'rsync', args: [] }, flags: [], version: 3 },
    noteDelivery: () => Promise.resolve(),
    place: { archivedir: '/a', systemIdentifier: '42', lane: 'l', run: 'r', mode: 'store' },
    shell: {
      target: { host: 'h', user: 'u' },
      rsyncShell: 'ssh',
      stderr: () => '',
      run: (work: RemoteWork) => Promise.resolve({ kind: 'done', status: 0, lines: answer(scriptOf(work)) }),
    },
  } as unknown as Delivery;
  const lane = { name: 'c', queue: at('queues', 'c'), proofFile: at('queues', 'proof') } as Lane;
  const cluster = {
    systemIdentifier: '42',
    timeline: 1,
    segmentSize: 16 * 1024 * 1024,
    isInRecovery: false,
    relayedFrom: at('archive'),
  };
  const refused = new Map<string, string>();
  expect(await sendNew({ deps, cluster }, lane, delivery, names, { refused })).toBeUndefined();
  expect([...refused]).toEqual([[other?.text, expect.stringContaining('holds a different file')]]);
  expect(sent).toEqual([names.map(({ text }) => text), ['00000004.history']]);
});
