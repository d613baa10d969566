import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PitrError, refusal } from '../../../../src/errors.ts';
import { patroniReplica } from '../../../../src/standby/actions/patroni-replica.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

/** A Patroni that names one leader after the other, and none for an empty name. */
async function patroni(leaders: readonly string[]): Promise<string> {
  let asked = 0;
  const server = createServer((_, response) => {
    const host = leaders[Math.min(asked, leaders.length - 1)] ?? '';
    asked += 1;
    const members = host === '' ? [] : [{ role: 'leader', host, port: 5432 }];
    response.end(JSON.stringify({ members }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Where each attempt copies: `PRIMARY`, or `PRIMARY<SOURCE`. The last one succeeds, unless `ends` says how it fails. */
async function replica(urls: readonly string[] | undefined, ends: readonly (PitrError | undefined)[]) {
  const directory = temporaryDirectory();
  const [pgdata, archivedir] = [join(directory, 'data'), join(directory, 'archive')];
  for (const path of [pgdata, archivedir]) mkdirSync(path);
  writeFileSync(join(archivedir, '.pitrtools'), 'not new');
  const nothing = () => undefined;
  const deps = {
    settings: {
      ...{ pgdata, archivedir, patroni_url: urls, basebackup_method: 'rsync' },
      ...{ master_public_ip: 'ini', port: 5432, basebackup_source: undefined },
    },
    log: { debug: nothing, notice: nothing, warning: nothing, error: nothing },
    signal: new AbortController().signal,
    pause: () => Promise.resolve(),
  } as unknown as StandbyDeps;
  const copied: string[] = [];
  const baseBackup = ({ settings }: StandbyDeps): Promise<number> => {
    const { master_public_ip: primary, basebackup_source: source } = settings;
    const end = ends[copied.length];
    copied.push(source === undefined ? primary : `${primary}<${source}`);
    return end === undefined ? Promise.resolve(0) : Promise.reject(end);
  };
  const call = { datadir: pgdata, source: { host: 'm1', port: 5432 }, verify: false };
  const actions = { initStandby: () => Promise.resolve(0), baseBackup };
  const failed = await patroniReplica(deps, call, { dryRun: true, force: { kind: 'none' } }, actions).then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
  return { copied, failed };
}

const broken = new PitrError('the connection broke');
const refused = refusal('the server there is in recovery');

describe('a replica that Patroni has made', () => {
  test('is tried again for a refusal of a server that leads no longer', async () => {
    const url = await patroni(['m1', 'm2', 'm2']);
    expect(await replica([url], [refused, undefined])).toEqual({ copied: ['m1', 'm2'], failed: undefined });
  });

  test('is tried again for a refusal while nobody leads', async () => {
    const url = await patroni(['m1', '', '', 'm2']);
    expect((await replica([url], [broken, refused, undefined])).copied).toEqual(['m1', 'm1', 'm2']);
  });

  test.each([
    ['of the leader', ['m1']],
    ['if Patroni cannot be asked', undefined],
  ])('is not tried again for a refusal %s', async (_, leaders) => {
    const urls = leaders === undefined ? undefined : [await patroni(leaders)];
    expect(await replica(urls, [refused, undefined])).toEqual({ copied: ['m1'], failed: refused.message });
  });

  test('is not copied from a leader that has been replaced meanwhile: it may be dead', async () => {
    const url = await patroni(['m1', 'm2']);
    expect((await replica([url], [broken, broken, undefined])).copied).toEqual(['m1', 'm2', 'm2']);
  });

  test('is copied from the replica that Patroni has chosen', async () => {
    const url = await patroni(['m3']);
    expect((await replica([url], [broken, undefined])).copied).toEqual(['m3<m1', 'm3<m1']);
  });
});
