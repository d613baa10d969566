import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { familyOf, type ProcessEntry, processesOf } from '../harness/process-table.ts';
import { type Finished, killAll } from '../harness/processes.ts';
import type { World } from '../harness/world.ts';
import {
  type CampaignLog,
  editIni,
  idsUpTo,
  lsnOf,
  type Node,
  type Row,
  type WritingClient,
} from './roles-kit.ts';

const newBackup = /new base backup|make a base backup/;

type Away = 'crashed' | 'removed' | 'abandoned' | 'replaced';

export interface Campaign {
  readonly world: World;
  readonly nodes: readonly Node[];
  readonly random: () => number;
  readonly log: CampaignLog;
  readonly client: WritingClient;
  /** Who does not follow at present, and why. */
  readonly away: Map<Node, Away>;
  readonly counts: Record<string, number>;
  primary: Node;
  /** Ids that all who followed at the last look have. */
  settled: Set<number>;
  /** Acknowledged, but only the dead primary had them. */
  readonly lost: Set<number>;
  /** Where `client.rows` stood at the last change of the primary. */
  epoch: number;
}

export function count({ counts }: Campaign, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

function pick<T>({ random }: Campaign, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to choose from');
  return item;
}

export function followers({ nodes, primary, away }: Campaign): Node[] {
  return nodes.filter((node) => node !== primary && !away.has(node));
}

function addressOf({ standby }: Node): string {
  return `${standby.host.address}:${standby.port}`;
}

export async function onStandby(
  campaign: Campaign,
  node: Node,
  args: readonly string[],
  codes: readonly number[] = [0],
) {
  const { world, log } = campaign;
  const run = log.ran(node.name, args, await world.cmdStandby(node.standby, args, { limitMs: 300_000 }));
  expect(codes, `${node.name}: ${args.join(' ')}: ${run.code}\n${run.stdout}${run.stderr}`).toContain(
    run.code,
  );
  return run;
}

export async function onPrimary(
  campaign: Campaign,
  node: Node,
  args: readonly string[],
  codes: readonly number[] = [0],
) {
  const { world, log } = campaign;
  const run = log.ran(node.name, ['cmd_archiver', ...args], await world.cmdArchiver(node.primary, args));
  expect(codes, `${node.name}: ${args.join(' ')}: ${run.code}\n${run.stdout}${run.stderr}`).toContain(
    run.code,
  );
  return run;
}

/** Hosts whose files lie at different places have to say so. */
export function namePeer({ nodes, primary }: Campaign): void {
  for (const node of nodes) if (node !== primary) editIni(node, 'peer_ini', primary.standby.iniFile);
}

function nextPrimary(campaign: Campaign, node: Node): void {
  campaign.primary = node;
  campaign.epoch = campaign.client.rows.length;
  namePeer(campaign);
}

/** -B and -S, after the program has said that it takes this. */
async function baseBackup(campaign: Campaign, node: Node, because: string): Promise<void> {
  campaign.log.say(`${node.name}: a base backup: ${because}`);
  count(campaign, '-B');
  if (node.standby.isRunning()) await onStandby(campaign, node, ['-A', 'stop']);
  editIni(node, 'master_public_ip', campaign.primary.standby.host.address);
  editIni(node, 'port', campaign.primary.standby.port);
  await onStandby(campaign, node, ['-B']);
  const timeline = await timelineOf(campaign.primary);
  const history = `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
  if (timeline > 1) expect(readdirSync(join(node.standby.pgdata, 'pg_wal'))).toContain(history);
  await onStandby(campaign, node, ['-S']);
}

async function follow(campaign: Campaign, node: Node): Promise<void> {
  const run = await onStandby(campaign, node, ['--follow', addressOf(campaign.primary)], [0, 1, 4]);
  count(campaign, `follow (${run.code})`);
  if (run.code === 0) return;
  if (run.code === 1) return backupForGap(campaign, node, run);
  expect(run.stderr).toMatch(newBackup);
  await baseBackup(campaign, node, 'said by --follow');
}

/** The WAL that it needs exists nowhere any more: the primary was made a later copy, or has removed it. */
async function backupForGap(campaign: Campaign, node: Node, run: Finished): Promise<void> {
  expect(run.stderr).toContain('is not seen following it');
  await eventually(
    async () => {
      const { stdout } = await onPrimary(campaign, campaign.primary, ['--flush'], [0, 1]);
      return new RegExp(`Standby ${node.name}: it lacks .* needs a new base backup`).test(stdout);
    },
    { limitMs: 120_000, everyMs: 2_000, what: `the gap of ${node.name}` },
  );
  count(campaign, 'gap');
  await baseBackup(campaign, node, 'a gap is said');
}

/** `slaves` and the sections of those who are there. */
function writeSlaves({ nodes, away }: Campaign, node: Node): void {
  const isGone = (other: Node) => ['removed', 'replaced'].includes(away.get(other) ?? '');
  const isIn = (other: Node) => other !== node && !isGone(other);
  const slaves = nodes.filter(isIn);
  node.primary.writeIni({ slaves: slaves.map(({ name }) => name).join(', ') });
  const text = readFileSync(node.primary.iniFile, 'utf8');
  const parts = text.split(/^(?=\[)/m);
  const kept = parts.filter(
    (part) => !nodes.some((each) => !isIn(each) && part.startsWith(`[${each.name}]`)),
  );
  writeFileSync(node.primary.iniFile, kept.join(''));
}

async function rejoin(campaign: Campaign, node: Node): Promise<void> {
  const { random, primary } = campaign;
  if (random() < 0.3) await onStandby(campaign, node, ['--rejoin', addressOf(primary), '--dry-run']);
  const run = await onStandby(campaign, node, ['--rejoin', addressOf(primary)], [0, 1]);
  count(campaign, 'rejoin');
  const way = /^Way: (nothing|pg_rewind|a base backup)/m.exec(run.stdout)?.[1] ?? 'not said';
  count(campaign, `rejoin by ${way}`);
  expect(way, 'the way is said').not.toBe('not said');
  if (way === 'a base backup') count(campaign, '-B');
  campaign.away.delete(node);
  if (run.code === 0) {
    if (way !== 'a base backup') count(campaign, 'rejoin without -B');
    return;
  }
  await backupForGap(campaign, node, run);
}

async function switchover(campaign: Campaign): Promise<void> {
  const { away } = campaign;
  const heir = pick(campaign, followers(campaign));
  const old = campaign.primary;
  const force = [...away].length === 0 ? [] : ['--force=sibling-unasked'];
  const run = await onStandby(campaign, heir, ['--switchover', ...force], force.length === 0 ? [0] : [0, 1]);
  if (run.code === 1)
    expect(run.stderr).toContain('this server is the primary now, but these hosts do not follow it yet');
  nextPrimary(campaign, heir);
  campaign.epoch = 0;
  count(campaign, 'switchover');
  campaign.log.say(`switched over from ${old.name} to ${heir.name}`);
}

/** Where the WAL ends that this standby has, streamed or in its archive. */
async function knownTo(node: Node, timeline: number): Promise<bigint> {
  const { standby } = node;
  const text = await standby.value(
    'SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text',
  );
  const size = BigInt(await standby.value("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'"));
  const prefix = timeline.toString(16).toUpperCase().padStart(8, '0');
  const last = standby
    .archive()
    .filter((name) => name.length === 24 && name.startsWith(prefix))
    .at(-1);
  if (last === undefined) return lsnOf(text);
  const high = BigInt(`0x${last.slice(8, 16)}`) << 32n;
  const end = high + (BigInt(`0x${last.slice(16)}`) + 1n) * size;
  return end > lsnOf(text) ? end : lsnOf(text);
}

export async function timelineOf({ standby }: Node): Promise<number> {
  const name = await standby.value('SELECT pg_walfile_name(pg_current_wal_lsn())');
  return Number.parseInt(name.slice(0, 8), 16);
}

/** Its WAL senders hang, so that what it writes now is only there. */
function isolate({ standby }: Node): void {
  const senders = familyOf(standby.postmaster() ?? 0).filter(({ commandLine }) =>
    /wal ?sender/.test(commandLine),
  );
  killAll(senders, 'SIGSTOP');
}

/** Beside the server, there is its sshd, and the shipper, which outlives the server by some seconds. */
async function switchOff({ standby, primary: { iniFile } }: Node): Promise<void> {
  const { host } = standby;
  await host.network?.setLink('down');
  await standby.kill9();
  await host.sshd.kill();
  const isShipper = ({ commandLine }: ProcessEntry) =>
    commandLine.includes(iniFile) && / --ship\b/.test(commandLine);
  killAll(processesOf(host.directory).filter(isShipper));
}

async function switchOn({ standby: { host } }: Node): Promise<void> {
  if (host.sshd.isRunning()) return;
  await host.network?.setLink('up');
  await host.sshd.start();
}

async function crash(campaign: Campaign): Promise<void> {
  const { random, primary, log } = campaign;
  const { standby: server } = primary;
  const timeline = await timelineOf(primary);
  const isIsolated = random() < 0.4;
  if (isIsolated) {
    isolate(primary);
    await delay(700);
  }
  const how = isIsolated
    ? pick(campaign, ['machine', 'power'] as const)
    : pick(campaign, ['machine', 'power', 'postmaster', 'immediate'] as const);
  log.say(`${primary.name} crashes: ${how}${isIsolated ? ', after its WAL senders hung' : ''}`);
  if (how === 'immediate') await server.stop('immediate');
  else if (how === 'power') await switchOff(primary);
  else await server.kill9(how);
  count(campaign, `crash (${how})`);
  campaign.away.set(primary, 'crashed');
  await failOver(campaign, primary, timeline);
}

async function failOver(campaign: Campaign, old: Node, timeline: number): Promise<void> {
  const { random, log } = campaign;
  const candidates = followers(campaign);
  let heir = pick(campaign, candidates);
  const known = new Map<Node, bigint>();
  for (const node of candidates) known.set(node, await knownTo(node, timeline));
  const first = await onStandby(campaign, heir, ['-F999'], [0, 4]);
  let shipped = [...known.values()].reduce((one, other) => (one > other ? one : other));
  // Silent standbys hold up nothing.
  if (candidates.some(({ name }) => first.stderr.includes(`standby ${name} did not answer`)))
    shipped = known.get(heir) ?? 0n;
  if (first.code === 4) {
    expect(first.stderr).toMatch(/sibling-ahead|--force/);
    if (random() < 0.5) {
      await onStandby(campaign, heir, ['-F999', '--force=sibling-ahead']);
      shipped = known.get(heir) ?? 0n;
      count(campaign, 'forced');
    } else {
      heir = candidates.find((node) => node !== heir) ?? heir;
      await onStandby(campaign, heir, ['-F999']);
    }
  }
  count(campaign, 'failover');
  const { epoch, client, settled, lost } = campaign;
  nextPrimary(campaign, heir);
  const had = client.rows.slice(0, client.rows.length);
  const present = new Set(await idsUpTo(heir, had.at(-1)?.id ?? 0));
  const required = (row: Row, index: number) =>
    settled.has(row.id) || (index >= epoch && row.lsn !== undefined && row.lsn <= shipped);
  for (const [index, row] of had.entries()) {
    if (present.has(row.id) || lost.has(row.id)) continue;
    const what = `row ${row.id}, acknowledged at ${row.lsn?.toString(16)}, of ${old.name}; shipped: ${shipped.toString(16)}`;
    expect(required(row, index), what).toBe(false);
    lost.add(row.id);
  }
  log.say(`${heir.name} is the primary; ${lost.size} rows were only on dead ones in all`);
  await switchOn(old);
  const mayStart = await onPrimary(campaign, old, ['--may-start'], [0, 4]);
  expect(mayStart.code, 'cmd_archiver --may-start on the dead primary').toBe(4);
  const others = followers(campaign);
  for (const node of others) await follow(campaign, node);
  if (random() < 0.6) await rejoin(campaign, old);
}

async function retire(campaign: Campaign): Promise<void> {
  const { away, primary } = campaign;
  const node = pick(campaign, followers(campaign));
  const kind = pick(campaign, ['removed', 'removed', 'abandoned', 'replaced'] as const);
  if (kind === 'abandoned') await onPrimary(campaign, primary, ['--abandon', node.name]);
  await onStandby(campaign, node, ['-A', 'stop']);
  away.set(node, kind);
  for (const each of campaign.nodes) writeSlaves(campaign, each);
  if (kind === 'replaced')
    for (const directory of [node.standby.pgdata, node.standby.archiveDir, node.primary.lArchiveDir])
      rmSync(directory, { recursive: true });
  count(campaign, `retire (${kind})`);
}

async function takeBack(campaign: Campaign, node: Node): Promise<void> {
  const { away } = campaign;
  const kind = away.get(node);
  if (kind === 'crashed') return rejoin(campaign, node);
  away.delete(node);
  for (const each of campaign.nodes) writeSlaves(campaign, each);
  count(campaign, `add (${kind})`);
  if (kind === 'replaced') {
    mkdirSync(node.standby.pgdata, { mode: 0o700 });
    await onStandby(campaign, node, ['-I']);
    await baseBackup(campaign, node, 'a new machine');
    await onPrimary(campaign, node, ['-I']);
    return;
  }
  await follow(campaign, node);
}

export async function change(campaign: Campaign): Promise<string> {
  const { away, random } = campaign;
  const [gone] = [...away.keys()];
  if (gone !== undefined && (followers(campaign).length === 0 || random() < 0.5)) {
    await takeBack(campaign, gone);
    return `${gone.name} is back`;
  }
  const kinds = [
    'switchover',
    'switchover',
    'crash',
    'crash',
    'crash',
    ...(gone === undefined ? ['retire'] : []),
  ];
  const kind = pick(campaign, kinds);
  if (kind === 'switchover') await switchover(campaign);
  else if (kind === 'crash') {
    // With only two of them left, the third one comes back first.
    if (gone !== undefined && away.get(gone) !== 'crashed') await takeBack(campaign, gone);
    await crash(campaign);
  } else await retire(campaign);
  return kind;
}
