import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { nameOf } from '../../../../src/postgres/lsn.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import type { Host } from '../../../../src/standby/follow/host.ts';
import { mustFollow, streamSeenThere } from '../../../../src/standby/follow/see-it-follow.ts';
import { notStartedHere } from '../../../../src/standby/server/local-server.ts';
import type { Server } from '../../../../src/standby/server/server.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const systemIdentifier = '7000000000000000001';
const segmentSize = 1024 * 1024;
const capabilities = capabilitiesOf(parseVersion('15'));

function site(archivedir = '/nonexistent') {
  const settings = { archivedir, pgdata: '/nonexistent', wal_timeout: 5, start_timeout: 5, port: 5432 };
  const silent = () => undefined;
  const deps = {
    settings,
    hostName: "c'1",
    signal: new AbortController().signal,
    monotonicMs: () => performance.now(),
    pause: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)),
    log: { debug: silent, notice: silent, warning: silent },
    run: () => Promise.resolve({ kind: 'exited', code: 1, stdout: '', stderr: '' }),
  };
  const facts = {
    capabilities,
    systemIdentifier,
    timeline: 1,
    lsn: BigInt(5 * segmentSize + 100),
    inRecovery: true,
    settings: { walSegmentSize: segmentSize },
  };
  // What the server here says of its stream cannot be asked.
  const server = {
    deps,
    pgdata: settings.pgdata,
    capabilities: { ...capabilities, hasStatWalReceiver: false },
  };
  return { server: server as unknown as Server, facts: facts as unknown as Host['facts'] };
}

test('a standby that answers nobody is seen streaming by the server that it follows', async () => {
  const { server, facts } = site();
  const asked: string[] = [];
  const seen = (rows: string[][]) =>
    streamSeenThere(
      { server, facts },
      {
        query: (sql) => {
          asked.push(sql);
          return Promise.resolve(rows);
        },
      },
    );
  expect(await seen([['1']])).toMatchObject({ by: 'streaming', timeline: 1 });
  expect(await seen([])).toBeUndefined();
  expect(asked[0]).toContain("application_name = 'c''1'");
});

test('a delayed standby that follows another standby has its WAL as soon as the archive has it', async () => {
  const archivedir = join(temporaryDirectory(), 'archive');
  mkdirSync(archivedir);
  const { text: name } = nameOf(1, 5, { segmentSize, walSegmentSkipsFF: false });
  writeFileSync(
    join(archivedir, name),
    buildWal({ name, systemIdentifier: BigInt(systemIdentifier), version: '15', segmentBytes: segmentSize }),
  );
  const { server, facts } = site(archivedir);
  const host = {
    facts,
    query: () => Promise.reject(new Error('a standby ends no segment')),
  } as unknown as Host;
  const following = { server, started: notStartedHere, address: { host: 'b', port: 5432 }, facts };
  expect(await mustFollow(following, host, { streams: true, isDelayed: true })).toMatchObject({
    by: 'archive',
    isDelayed: true,
    lsn: BigInt(6 * segmentSize),
  });
});
