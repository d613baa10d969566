import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../test/harness/eventually.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { killAll } from '../../../test/harness/processes.ts';
import type { Server } from '../../../test/harness/server.ts';
import { createWorld, type World } from '../../../test/harness/world.ts';
import { makeDuo } from '../../../test/programs/switchover-kit.ts';
import { mustSucceed } from './base-backup-site.ts';
import { type BenchContext, inTurn, over } from './drain.ts';
import { makeRepmgrPair, repmgrProgram, repmgrSwitchover } from './repmgr.ts';
import { ratio, seconds, type Table } from './report.ts';
import { median } from './statistics.ts';
import { startWriting } from './write-client.ts';

/** Two servers, the first of which was the primary at the beginning, and a way to change their roles. */
interface Contender {
  readonly name: string;
  readonly label: string;
  readonly servers: readonly [Server, Server];
  /** Makes this one of the two the primary. */
  readonly switchTo: (server: number) => Promise<void>;
}

/** In seconds. The first four add up to the outage. */
interface Change {
  /** From the last acknowledged write until the old primary has ended. */
  readonly stop: number;
  /** From there until the promotion is requested: the last WAL, and whatever the tool looks at. */
  readonly lastWal: number;
  readonly promotion: number;
  /** Until the first acknowledged write. */
  readonly client: number;
  readonly outage: number;
  /** Of the whole command. */
  readonly command: number;
}

const statement = 'INSERT INTO rows DEFAULT VALUES';

export async function measureSwitchover({ major, options, say }: BenchContext): Promise<Table> {
  const world = await createWorld({ major });
  try {
    const all = [
      ...(await ours(world)),
      ...(existsSync(repmgrProgram(major)) ? [await repmgr(world)] : []),
    ].filter(({ name }) => options.tools.length === 0 || options.tools.includes(name));
    const results = new Map<string, Change[]>(all.map(({ name }) => [name, []]));
    const failed = new Set<string>();
    for (let round = 1; round <= options.switchovers; round++) {
      for (const one of inTurn(all, round).filter(({ name }) => !failed.has(name))) {
        const change = await changeOnce(one, round % 2).catch((error: unknown) => String(error));
        if (typeof change === 'string') {
          // Which of its servers is the primary is not known any more: the other tool is measured without it.
          say(`switchover ${one.label} FAILED: ${change}`);
          failed.add(one.name);
          continue;
        }
        results.get(one.name)?.push(change);
        say(
          `switchover ${String(round)}/${String(options.switchovers)} ${one.label}: ${seconds(change.outage)} ` +
            `(stop ${seconds(change.stop)}, last WAL ${seconds(change.lastWal)}, promotion ${seconds(change.promotion)}, ` +
            `client ${seconds(change.client)}), command ${seconds(change.command)}`,
        );
      }
    }
    return switchoverTable(all, results);
  } finally {
    const isLasting = /\[listener\]|sshd_config|bin\/postgres -D|^postgres: /;
    killAll(processesOf(world.directory).filter(({ commandLine }) => !isLasting.test(commandLine)));
    await world.close();
  }
}

async function ours(world: World): Promise<readonly Contender[]> {
  const { old, oldAsStandby, heir } = await makeDuo(world, { streams: true });
  old.writeIni({ debug: 'off' });
  for (const standby of [heir, oldAsStandby]) standby.writeIni({ debug: 'off' });
  for (const server of [old, heir]) {
    await server.sql("ALTER SYSTEM SET log_timezone = 'UTC'");
    await server.reload();
  }
  const commands = [oldAsStandby, heir];
  return [
    {
      name: 'cmd_standby',
      label: 'cmd_standby --switchover',
      servers: [old, heir],
      switchTo: async (server) => {
        const standby = commands[server];
        if (standby !== undefined) mustSucceed(await world.cmdStandby(standby, ['--switchover']));
      },
    },
  ];
}

async function repmgr(world: World): Promise<Contender> {
  const nodes = await makeRepmgrPair(world, ['old', 'heir']);
  await nodes[0].server.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  return {
    name: 'repmgr',
    label: 'repmgr standby switchover',
    servers: [nodes[0].server, nodes[1].server],
    switchTo: async (server) => {
      const node = nodes[server];
      if (node !== undefined) await repmgrSwitchover(node);
    },
  };
}

async function rowsOn(server: Server): Promise<string> {
  return server.value('SELECT count(*) FROM rows').catch(() => 'no answer');
}

/** The standby streams, and has all rows: the next change begins as this one did. */
async function settle(primary: Server, standby: Server): Promise<void> {
  await eventually(
    async () =>
      (await primary.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")) === '1',
    { limitMs: 60_000, what: `a standby that streams; server log ${standby.log}` },
  );
  const rows = await rowsOn(primary);
  await eventually(async () => (await rowsOn(standby)) === rows, {
    limitMs: 60_000,
    what: `${rows} rows on the standby; server log ${standby.log}`,
  });
}

const settleMs = 1_500;

async function changeOnce({ servers, switchTo }: Contender, to: number): Promise<Change> {
  const [standby, primary] = to === 1 ? [servers[1], servers[0]] : [servers[0], servers[1]];
  await settle(primary, standby);
  const logs = new Map([primary, standby].map((server) => [server, server.logText().length]));
  const client = startWriting(servers, statement);
  try {
    await delay(settleMs);
    const from = performance.now();
    await switchTo(to);
    const command = (performance.now() - from) / 1000;
    await eventually(() => client.writes.at(-1)?.server === to);
    const moment = (server: Server, message: string): number =>
      momentOf(server.logText().slice(logs.get(server)), message, server.log);
    const last = client.writes.filter(({ server }) => server !== to).at(-1)?.atMs ?? NaN;
    const first = client.writes.find(({ server }) => server === to)?.atMs ?? NaN;
    const stopped = moment(primary, 'database system is shut down');
    const requested = moment(standby, 'received promote request');
    const isOpen = moment(standby, 'database system is ready to accept connections');
    return {
      stop: (stopped - last) / 1000,
      lastWal: (requested - stopped) / 1000,
      promotion: (isOpen - requested) / 1000,
      client: (first - isOpen) / 1000,
      outage: (first - last) / 1000,
      command,
    };
  } finally {
    await client.stop();
  }
}

/** When the server logged this first, in milliseconds since 1970; its log is in UTC. */
function momentOf(log: string, message: string, file: string): number {
  const line = log.split('\n').find((one) => one.includes(message));
  const [, day, time] = /^(\S+) (\S+) UTC /.exec(line ?? '') ?? [];
  if (day === undefined || time === undefined) throw new Error(`"${message}" is not in ${file}:\n${log}`);
  return Date.parse(`${day}T${time}Z`);
}

function switchoverTable(all: readonly Contender[], results: ReadonlyMap<string, readonly Change[]>): Table {
  const counts = [...new Set(all.map(({ name }) => results.get(name)?.length ?? 0))].join(' or ');
  const of = (name: string, key: keyof Change): number[] => (results.get(name) ?? []).map((one) => one[key]);
  /** The slowest but one. */
  const slow = (name: string): number => of(name, 'outage').sort((a, b) => b - a)[1] ?? NaN;
  const rows = all.map(({ name, label }) => [
    label,
    seconds(median(of(name, 'outage'))),
    seconds(slow(name)),
    ...(['stop', 'lastWal', 'promotion', 'client'] as const).map((key) => seconds(median(of(name, key)))),
    seconds(median(of(name, 'command'))),
    ratio(over(median(of(name, 'outage')), median(of('repmgr', 'outage')))),
    ratio(over(slow(name), slow('repmgr'))),
  ]);
  return {
    title: 'A switchover: how long no server takes writes',
    note: `${counts} changes of role by each, there and back in turns. From the last write that was acknowledged to the next one, of a client that tries every 10 ms on both servers. Medians, but for the slowest but one. Stop: to the end of the old primary; last WAL: to the request for the promotion; promotion: until the new primary is open.`,
    columns: [
      'command',
      'outage',
      'slowest but one',
      'stop',
      'last WAL',
      'promotion',
      'client',
      'whole command',
      '÷ repmgr',
      'slowest but one ÷ repmgr',
    ],
    rows,
    samples: Object.fromEntries(results),
  };
}
