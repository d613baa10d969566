import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { PatroniMember } from '../harness/patroni.ts';
import type { Server } from '../harness/server.ts';
import type { Application, Promises, Row } from './patroni-client.ts';
import type { FedSite } from './patroni-fed.ts';
import { leaderOf } from './patroni-site.ts';
import { type CampaignLog, lsnOf } from './roles-kit.ts';
import { expectExit } from './standby-kit.ts';

/** What a campaign of changes has come to. */
export interface Campaign {
  readonly site: FedSite;
  readonly random: () => number;
  readonly log: CampaignLog;
  readonly application: Application;
  readonly promises: Promises;
  readonly counts: Record<string, number>;
  /** Acknowledged without a synchronous standby, and lost within what Patroni promises. */
  readonly lost: Set<number>;
  /** Numbers that all had at the last look. */
  settled: number;
  isSynchronous: boolean;
}

export function count({ counts }: Campaign, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

const segmentBytes = 1024n * 1024n;

/** The leader, when the other members stream from it; in synchronous mode one of them synchronously. */
export async function healthyLeader(
  { site, isSynchronous }: Campaign,
  limitMs: number,
): Promise<PatroniMember> {
  let seen = '';
  return eventually(
    async () => {
      seen = 'no leader';
      const leader = await leaderOf(site);
      if (leader === undefined) return undefined;
      const rows = await leader.server.sql(
        "SELECT application_name AS name, state, sync_state FROM pg_stat_replication WHERE application_name LIKE 'n_'",
      );
      seen = `${leader.name} leads, ${JSON.stringify(rows)}`;
      const streams = rows.filter(({ state }) => state === 'streaming').length === site.members.length - 1;
      const isSafe = !isSynchronous || rows.some(({ sync_state }) => sync_state === 'sync');
      return streams && isSafe ? leader : undefined;
    },
    { limitMs, everyMs: 300, what: 'a leader from which the others stream' },
  ).catch((error: unknown) => {
    throw new Error([seen, ...site.members.map(endOfLog)].join('\n'), { cause: error });
  });
}

/** What Patroni and the server that it has started, which writes to the same file, have said last. */
function endOfLog(member: PatroniMember): string {
  const isNews = (line: string) => !/ INFO: (no action|Lock owner)|waiting for WAL to become/.test(line);
  const news = member.log().split('\n').filter(isNews).join('\n');
  return `--- Patroni and server of ${member.name}:\n${news.slice(-24_000)}`;
}

async function numbersUpTo(server: Server, last: number): Promise<number[]> {
  const rows = await server.sql('SELECT id::int AS id FROM numbers WHERE id <= $1 ORDER BY id', [last]);
  return rows.map(({ id }) => Number(id));
}

async function replays(server: Server, lsn: bigint, about: string): Promise<void> {
  let last = '';
  await eventually(
    async () => {
      last = await server.value('SELECT pg_last_wal_replay_lsn()::text');
      return lsnOf(last) >= lsn;
    },
    { limitMs: 120_000, everyMs: 100, what: about },
  ).catch((error: unknown) => {
    throw new Error(`${about}: it has replayed up to ${last}`, { cause: error });
  });
}

/** In synchronous mode nothing may be missing; else only what the leader that has gone had not published yet, or within the lag. */
async function judgeMissing(campaign: Campaign, missing: readonly Row[], about: string): Promise<void> {
  const { promises, isSynchronous, log, lost } = campaign;
  const promised = await promises.take();
  if (missing.length === 0) return;
  log.say(`${missing.length} acknowledged numbers are missing; promised up to ${promised?.toString(16)}`);
  const isKept = ({ lsn }: Row) => isSynchronous || promised === undefined || lsn <= promised;
  const beyond = missing.filter(isKept).map(({ id, on, lsn }) => `${id} on ${on} at ${lsn.toString(16)}`);
  expect(beyond, `${about}: acknowledged and lost, although Patroni promises to keep them`).toEqual([]);
  for (const { id } of missing) lost.add(id);
}

async function keepsWriting({ application }: Campaign, about: string): Promise<void> {
  const before = application.rows.length;
  await eventually(() => application.rows.length >= before + 5, {
    limitMs: 120_000,
    what: `${about}: the application writes`,
  });
}

/** As doc/patroni.md has it, on the first leader that is not the member which Patroni began with. */
async function markArchiveOfFirst({ site, log }: Campaign, leader: PatroniMember): Promise<void> {
  const [first] = site.fed;
  const own = site.fed.find(({ member }) => member === leader);
  if (first === undefined || own === undefined || own === first) return;
  if (existsSync(join(first.standby.archiveDir, '.pitrtools'))) return;
  const args = ['-I', '--plant', first.member.name];
  expectExit(log.ran(leader.name, args, await site.world.cmdArchiver(own.primary, args)), 0);
}

/** What must hold after every change. */
export async function verify(campaign: Campaign, about: string): Promise<void> {
  const { site, application, log, lost } = campaign;
  const leader = await healthyLeader(campaign, 240_000);
  await markArchiveOfFirst(campaign, leader);
  await keepsWriting(campaign, about);
  const acknowledged = application.rows.slice();
  const last = acknowledged.at(-1)?.id ?? 0;
  const { server } = leader;
  const lsn = lsnOf(await server.value('SELECT pg_current_wal_lsn()::text'));
  await server.switchWal();
  const there = await numbersUpTo(server, last);
  const present = new Set(there);
  const missing = acknowledged.filter(({ id }) => !present.has(id) && !lost.has(id));
  await judgeMissing(campaign, missing, about);
  for (const member of site.members) {
    if (member === leader) continue;
    await replays(member.server, lsn, `${about}: replay on ${member.name}`);
    expect(await numbersUpTo(member.server, last), `${about}: numbers on ${member.name}`).toEqual(there);
  }
  await replays(site.off, lsn, `${about}: replay on the off-site standby, log ${site.off.log}`);
  expect(await numbersUpTo(site.off, last), `${about}: numbers on the off-site standby`).toEqual(there);
  const timeline = expectWholeArchive(campaign, leader, about);
  await lacksNothing(campaign, about);
  campaign.settled = there.length;
  log.say(
    `${about}: ${there.length} numbers everywhere, ${lost.size} lost; ${leader.name} leads on timeline ${timeline}`,
  );
}

interface Timeline {
  readonly number: number;
  readonly beginsAt: bigint;
}

const hex = (value: bigint | number) => value.toString(16).toUpperCase().padStart(8, '0');

/** The timelines of the leader, from its newest .history file. */
function timelinesOf(leader: PatroniMember): readonly Timeline[] {
  const files = readHistories(leader);
  const [newest] = files.sort((one, other) => other.number - one.number);
  if (newest === undefined) return [{ number: 1, beginsAt: 0n }];
  const ends = newest.text.split('\n').flatMap((line) => {
    const [number, end] = line.split('\t');
    return end === undefined ? [] : [{ number: Number(number), end: lsnOf(end) }];
  });
  const numbers = [...ends.map(({ number }) => number), newest.number];
  return numbers.map((number, index) => ({ number, beginsAt: ends[index - 1]?.end ?? 0n }));
}

function readHistories({ server }: PatroniMember): { number: number; text: string }[] {
  const directory = join(server.pgdata, 'pg_wal');
  const names = readdirSync(directory).filter((name) => /^[0-9A-F]{8}\.history$/.test(name));
  return names.map((name) => ({
    number: Number.parseInt(name.slice(0, 8), 16),
    text: readFileSync(join(directory, name), 'utf8'),
  }));
}

/** From its first segment on, the off-site archive has each segment of the leader's history, and the .history files. */
function expectWholeArchive({ site }: Campaign, leader: PatroniMember, about: string): number {
  const timelines = timelinesOf(leader);
  const archive = site.off.archive();
  const perLog = 0x1_0000_0000n / segmentBytes;
  const numberOf = (name: string) =>
    BigInt(`0x${name.slice(8, 16)}`) * perLog + BigInt(`0x${name.slice(16, 24)}`);
  const numbers = archive.filter((name) => name.length === 24).map(numberOf);
  const [first, last] = [numbers, numbers].map((all, index) =>
    all.reduce((one, other) => ((index === 0 ? one < other : one > other) ? one : other)),
  );
  if (first === undefined || last === undefined) throw new Error('an empty archive');
  const wanted = timelines.slice(1).map(({ number }) => `${hex(number)}.history`);
  for (let segment = first; segment <= last; segment += 1n) {
    const timeline = timelines.filter(({ beginsAt }) => beginsAt < (segment + 1n) * segmentBytes).at(-1);
    wanted.push(`${hex(timeline?.number ?? 0)}${hex(segment / perLog)}${hex(segment % perLog)}`);
  }
  const present = new Set(archive);
  const gaps = wanted.filter((name) => !present.has(name));
  expect(gaps, `${about}: missing in the off-site archive`).toEqual([]);
  return timelines.at(-1)?.number ?? 0;
}

async function lacksNothing({ site, log }: Campaign, about: string): Promise<void> {
  for (let round = 0; ; round += 1) {
    const asked = await site.world.cmdStandby(site.off, ['--wal']);
    log.ran('off', ['--wal'], asked);
    if (!/missing/i.test(asked.stdout + asked.stderr)) {
      expectExit(asked, 0);
      return;
    }
    expect(round, `${about}: --wal of the off-site standby:\n${asked.stdout}${asked.stderr}`).toBeLessThan(8);
    await delay(1_000);
  }
}
