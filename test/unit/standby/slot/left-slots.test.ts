import { describe, expect, test } from 'vitest';
import type { StandbySettings } from '../../../../src/config/options-standby.ts';
import { PitrError } from '../../../../src/errors.ts';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { type OwnSlot, readRecord, writeRecord } from '../../../../src/standby/host/backup-record/record.ts';
import type { Server } from '../../../../src/standby/server/server.ts';
import {
  dropOwnSlot,
  isOneServer,
  leaveOwnSlots,
  leftSlotsOf,
} from '../../../../src/standby/slot/left-slots.ts';
import { noteOwnSlot } from '../../../../src/standby/slot/notes.ts';
import { ownSlotName } from '../../../../src/standby/slot/own-name.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { type FakeServer, fakeServer } from './fake-server.ts';

const capabilities = capabilitiesOf(parseVersion('15'));
const port = 5432;

const settings = {
  master_public_ip: 'alpha',
  port,
  pgdata: '/d',
  use_streaming_replication: true,
  use_slot: true,
  ssh_timeout: 5,
  failover_probe_timeout: 5,
} as StandbySettings;
const ownName = ownSlotName({ settings, hostName: 'bravo' }, capabilities, {}) ?? '';

interface Case {
  readonly servers: Readonly<Record<string, FakeServer>>;
  readonly noted: readonly string[];
}

/** A standby that follows `alpha`, and has noted its slot on these hosts. */
async function standby({ servers, noted }: Case) {
  const pgdata = temporaryDirectory();
  const said: string[] = [];
  const log = {
    notice: (message: string) => said.push(message),
    warning: (message: string) => said.push(`warning: ${message}`),
  };
  let ms = 0;
  const deps = {
    settings,
    hostName: 'bravo',
    log,
    signal: new AbortController().signal,
    monotonicMs: () => (ms += 1000),
    pause: () => Promise.resolve(),
  } as unknown as StandbyDeps;
  const server: Server = { deps, pgdata, capabilities };
  const slotOn = (host: string): OwnSlot => ({ name: ownName, host, port });
  await writeRecord(pgdata, { ownSlots: noted.map(slotOn) });
  const connect = async <T>(to: StandbyDeps, use: (query: FakeServer['query']) => Promise<T>): Promise<T> => {
    const found = servers[to.settings.master_public_ip];
    if (found === undefined) throw new PitrError('no route to host');
    return use(found.query);
  };
  const notedOn = async () => (await readRecord(pgdata)).ownSlots?.map(({ host }) => host) ?? [];
  return { server, deps, slotOn, connect, notedOn, said };
}

describe('a slot by which this standby streams no more', () => {
  test('is dropped on another server, and forgotten only then', async () => {
    const [alpha, old] = [fakeServer('1', { [ownName]: true }), fakeServer('2', { [ownName]: false })];
    const { server, slotOn, connect, notedOn } = await standby({ servers: { alpha, old }, noted: ['old'] });
    await dropOwnSlot(server, slotOn('old'), ownName, connect);
    expect([...old.slots]).toEqual([]);
    expect([...alpha.slots]).toEqual([[ownName, true]]);
    expect(await notedOn()).toEqual([]);
  });

  test('is not dropped on the server that this standby follows, whatever that is called', async () => {
    const alpha = fakeServer('1', { [ownName]: true });
    const servers = { alpha, '192.0.2.1': alpha };
    const { server, slotOn, connect, notedOn } = await standby({ servers, noted: ['192.0.2.1'] });
    // The standby has lost its connection for a moment.
    await dropOwnSlot(server, slotOn('192.0.2.1'), ownName, async (to, use) => {
      if (to.settings.master_public_ip !== 'alpha') alpha.slots.set(ownName, false);
      return connect(to, use);
    });
    expect([...alpha.slots]).toEqual([[ownName, false]]);
    expect(await notedOn()).toEqual([]);
  });

  test('is looked for at the address by which psql found that server on its host', async () => {
    // Servers that listen at one address each, which leads there from every host.
    const [now, old] = [fakeServer('1', { [ownName]: true }), fakeServer('2', { [ownName]: false })];
    const { server, deps, notedOn } = await standby({ servers: {}, noted: [] });
    const at = (host: string, address: string): Server => ({
      ...server,
      deps: { ...deps, settings: { ...settings, master_public_ip: host, master_local_ip: address } },
    });
    await noteOwnSlot(at('old', '192.0.2.2'), ownName);
    await noteOwnSlot(at('alpha', '192.0.2.9'), ownName);
    const following = at('alpha', '192.0.2.1');
    await noteOwnSlot(following, ownName);
    const { ownSlots = [] } = await readRecord(server.pgdata);
    expect(ownSlots.map(({ localAddress }) => localAddress)).toEqual(['192.0.2.2', '192.0.2.1']);
    await dropOwnSlot(following, ownSlots[0] as OwnSlot, ownName, (to, use) =>
      use((to.settings.master_local_ip === '192.0.2.1' ? now : old).query),
    );
    expect([...old.slots]).toEqual([]);
    expect([...now.slots]).toEqual([[ownName, true]]);
    expect(await notedOn()).toEqual(['alpha']);
  });

  test('stays as long as this standby does not stream by the slot that it has now', async () => {
    const [alpha, old] = [fakeServer('1', { [ownName]: false }), fakeServer('2', { [ownName]: false })];
    const { server, slotOn, connect, notedOn, said } = await standby({
      servers: { alpha, old },
      noted: ['old'],
    });
    await dropOwnSlot(server, slotOn('old'), ownName, connect);
    expect([...old.slots]).toEqual([[ownName, false]]);
    expect(await notedOn()).toEqual(['old']);
    expect(said.join()).toContain('does not stream from alpha');
  });

  test('stays noted if its server does not answer, or if it is in use there', async () => {
    const [alpha, used] = [fakeServer('1', { [ownName]: true }), fakeServer('2', { [ownName]: true })];
    const { server, slotOn, connect, notedOn, said } = await standby({
      servers: { alpha, used },
      noted: ['silent', 'used'],
    });
    await dropOwnSlot(server, slotOn('silent'), ownName, connect);
    await dropOwnSlot(server, slotOn('used'), ownName, connect);
    expect(await notedOn()).toEqual(['silent', 'used']);
    expect(said).toEqual([
      expect.stringContaining('on silent could not be dropped: no route to host'),
      expect.stringContaining('on used stays: it is in use'),
    ]);
  });

  test('is left to the primary whose role was taken, but not on other hosts', async () => {
    const other = fakeServer('2', { [ownName]: false });
    const servers = { other };
    const noted = ['alpha', 'other', 'silent'];
    const { server, slotOn, connect, notedOn } = await standby({ servers, noted });
    await leaveOwnSlots(server, noted.map(slotOn), false, connect);
    expect([...other.slots]).toEqual([]);
    expect(await notedOn()).toEqual(['silent']);
  });

  test('of a primary that keeps its role stays noted until it is seen gone', async () => {
    const { server, slotOn, connect, notedOn, said } = await standby({ servers: {}, noted: ['alpha'] });
    await leaveOwnSlots(server, [slotOn('alpha')], true, connect);
    expect(await notedOn()).toEqual(['alpha']);
    expect(said).toEqual([expect.stringContaining('on alpha could not be dropped')]);
  });

  test('is none that the standby will stream by when it is started or has recovered to a target', async () => {
    const { deps, slotOn } = await standby({ servers: {}, noted: [] });
    const [own, old] = [slotOn('alpha'), slotOn('old')];
    const ownSlots = [own, old];
    const recovered = { mode: 'recovery', names: [], file: 'x' } as const;
    expect(leftSlotsOf(deps, { capabilities, record: { ownSlots } })).toEqual([old]);
    expect(leftSlotsOf(deps, { capabilities, record: { ownSlots, settings: recovered } })).toEqual([old]);
    expect(leftSlotsOf(deps, { capabilities, record: { ownSlots, promotedAtTimeline: 2 } })).toEqual(
      ownSlots,
    );
  });
});

test('a server that was restarted between the questions proves nothing', async () => {
  const followed = fakeServer('1');
  const other: FakeServer['query'] = async (sql) => {
    followed.started = '2';
    return followed.query(sql);
  };
  await expect(isOneServer(followed.query, other)).rejects.toThrow('was restarted');
  expect(await isOneServer(followed.query, followed.query)).toBe(true);
  expect(await isOneServer(followed.query, fakeServer('3').query)).toBe(false);
});
