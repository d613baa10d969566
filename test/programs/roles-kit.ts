import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { eventually } from '../harness/eventually.ts';
import type { IniKeys } from '../harness/ini.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import type { Finished } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

/** A host with both INI files. */
export interface Node {
  readonly name: string;
  readonly standby: Standby;
  readonly primary: Primary;
  /** As a standby. */
  readonly streams: boolean;
}

export interface CampaignLog {
  readonly lines: readonly string[];
  say(line: string): void;
  ran(host: string, args: readonly string[], run: Finished): Finished;
}

export function campaignLog(): CampaignLog {
  const lines: string[] = [];
  const say = (line: string) => {
    lines.push(`${new Date().toISOString()} ${line}`);
  };
  return {
    lines,
    say,
    ran: (host, args, run) => {
      say(`${host}: ${args.join(' ')}: exit ${run.code}, ${run.ms} ms`);
      for (const line of `${run.stdout}${run.stderr}`.split('\n'))
        if (/^[A-Z]| [Tt]imeline|missing/.test(line) && !/^DEBUG|base backup: data/.test(line))
          lines.push(`    ${line}`);
      return run;
    },
  };
}

export interface NodesOptions {
  /** Whether each of the three streams, as a standby. */
  readonly streams: readonly [boolean, boolean, boolean];
  readonly walSegmentMb: number | undefined;
  /** Whether they stream by slots on the primary. */
  readonly hasSlots: boolean;
}

const names = ['a', 'b', 'c'] as const;

/** Three hosts; the first one is the primary, the others follow it. */
export async function makeNodes(world: World, options: NodesOptions): Promise<readonly [Node, Node, Node]> {
  for (const name of names) await world.host(name);
  const hostOf = (name: string) => world.host(name);
  const othersOf = (name: string) => names.filter((each) => each !== name);
  const first = await world.startPrimary({
    name: 'a',
    slaves: othersOf('a'),
    checksums: true,
    ...(options.walSegmentMb === undefined ? {} : { walSegmentMb: options.walSegmentMb }),
  });
  trustOthers(join(first.pgdata, 'pg_hba.conf'));
  await first.reload();
  await first.sql('CREATE TABLE rows (id bigint PRIMARY KEY, filler text)');
  await installHelpers(first);
  const make = async (index: 0 | 1 | 2): Promise<Node> => {
    const name = names[index];
    const host = await hostOf(name);
    const streams = options.streams[index];
    const standby = await world.addStandby(name, first, {
      pgdata: join(host.directory, 'pgdata'),
      ...(index === 0 ? { port: first.port } : {}),
      settings: archivingSettings(host),
      ini: {
        use_streaming_replication: streams ? 'on' : 'no',
        ...(streams && options.hasSlots ? { use_slot: 'on', slot_unlimited: 'yes' } : {}),
        start_timeout: 60,
        failover_probe_timeout: 30,
        wal_timeout: 60,
        public_ip: host.address,
        peer_ini: join(first.host.directory, 'etc', 'cmd_standby.ini'),
        ...(index === 0 ? { master_public_ip: (await hostOf('b')).address } : {}),
      },
    });
    for (const folder of ['pg_conf', 'pg_conf_failover'])
      trustOthers(join(host.directory, 'etc', folder, 'pg_hba.conf'));
    const primary = await world.asPrimary(standby, othersOf(name));
    const sections: Record<string, IniKeys> = {};
    for (const other of othersOf(name)) {
      const { address, archiveDir } = await hostOf(other);
      sections[other] = { host: address, r_archivedir: archiveDir };
    }
    primary.writeIni({}, sections);
    return { name, standby, primary, streams };
  };
  const nodes = [await make(0), await make(1), await make(2)] as const;
  editIni(nodes[0], 'port', nodes[1].standby.port);
  expectExit(await world.cmdArchiver(nodes[0].primary, ['-I']), 0);
  return nodes;
}

function trustOthers(file: string): void {
  const lines = ['all', 'replication'].map((database) => `host ${database} all 10.99.0.0/24 trust\n`);
  appendFileSync(file, lines.join(''));
}

/** Changes one key of an INI file in its place, as an operator does. */
export function editIni({ standby }: Node, key: string, value: string | number): void {
  const text = readFileSync(standby.iniFile, 'utf8');
  const changed = text.replace(new RegExp(`^(${key} *[:=] *).*$`, 'm'), `$1${value}`);
  writeFileSync(standby.iniFile, changed);
}

export interface Row {
  readonly id: number;
  /** After its commit; unknown if the primary died between the two. */
  readonly lsn: bigint | undefined;
}

export interface WritingClient {
  /** Acknowledged, in their order. */
  readonly rows: readonly Row[];
  stop(): Promise<void>;
}

export function lsnOf(text: string): bigint {
  const [high = '0', low = '0'] = text.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

async function openPrimary(nodes: readonly Node[]): Promise<pg.Client | undefined> {
  for (const { standby } of nodes) {
    const client = new pg.Client({
      ...{ host: standby.socketDirectory, port: standby.port, user: standby.user, database: 'postgres' },
      query_timeout: 20_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const answer = await client.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
      if (answer.rows[0]?.standby === false) return client;
    } catch {
      // Another one may be the primary.
    }
    client.end().catch(() => undefined);
  }
  return undefined;
}

/** Writes without a pause to whichever server takes writes. */
export function startClient(nodes: readonly Node[], pauseMs: number): WritingClient {
  const rows: Row[] = [];
  const state = { isOver: false };
  const write = async (client: pg.Client, id: number) => {
    const filler =
      id % 25 === 0
        ? "(SELECT string_agg(md5(i::text || $1::text), '') FROM generate_series(1, 3000) i)"
        : 'NULL';
    await client.query(`INSERT INTO rows SELECT $1::bigint, ${filler}`, [id]);
    const answer = await client
      .query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn')
      .catch(() => undefined);
    const lsn = answer?.rows[0]?.lsn;
    rows.push({ id, lsn: lsn === undefined ? undefined : lsnOf(lsn) });
    if (lsn === undefined) throw new Error('the primary has gone');
  };
  const work = (async () => {
    let client: pg.Client | undefined;
    let id = 0;
    while (!state.isOver) {
      try {
        client ??= await openPrimary(nodes);
        if (client === undefined) {
          await delay(50);
          continue;
        }
        id += 1;
        await write(client, id);
        await delay(pauseMs);
      } catch {
        client?.end().catch(() => undefined);
        client = undefined;
      }
    }
    await client?.end().catch(() => undefined);
  })();
  return {
    rows,
    stop: async () => {
      state.isOver = true;
      await work;
    },
  };
}

async function takesWrites({ standby }: Node): Promise<boolean> {
  return standby
    .value('SELECT pg_is_in_recovery()')
    .then((text) => text === 'false')
    .catch(() => false);
}

/** Looks for two servers that take writes at the same time. */
export function watchPrimaries(nodes: readonly Node[], report: (line: string) => void) {
  const state = { isOver: false, seen: 0 };
  const look = async () => {
    const found: Node[] = [];
    for (const node of nodes) if (await takesWrites(node)) found.push(node);
    const [one] = found;
    if (found.length < 2 || one === undefined) return;
    // The first one still does: both did at the moment at which the second one answered.
    if (!(await takesWrites(one))) return;
    state.seen += 1;
    report(`two servers take writes: ${found.map(({ name }) => name).join(', ')}`);
  };
  const looks = (async () => {
    while (!state.isOver) {
      await look();
      await delay(300);
    }
  })();
  return {
    seen: () => state.seen,
    stop: async () => {
      state.isOver = true;
      await looks;
    },
  };
}

export async function idsUpTo({ standby }: Node, last: number): Promise<number[]> {
  const rows = await standby.sql('SELECT id::int AS id FROM rows WHERE id <= $1 ORDER BY id', [last]);
  return rows.map(({ id }) => Number(id));
}

/** Of ours, for a standby that streams from this server. */
export async function slotsFor({ standby }: Node): Promise<string[]> {
  const rows = await standby.sql(
    "SELECT slot_name::text AS name FROM pg_replication_slots WHERE slot_name LIKE 'pitrtools\\_for\\_%'",
  );
  return rows.map(({ name }) => String(name));
}

export async function replays({ standby }: Node, lsn: bigint, limitMs: number): Promise<void> {
  let last = '';
  await eventually(
    async () => {
      last = await standby.value('SELECT pg_last_wal_replay_lsn()::text');
      return lsnOf(last) >= lsn;
    },
    { limitMs, everyMs: 100, what: `replay up to ${lsn.toString(16)} on ${standby.name}` },
  ).catch((error: unknown) => {
    throw new Error(`${standby.name} has replayed up to ${last} only`, { cause: error });
  });
}
